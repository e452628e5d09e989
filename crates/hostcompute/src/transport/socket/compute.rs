//! Calls about compute systems over the socket. Handles belong to the one connection that is this host's session; what waits, listens
//! or hands over descriptors has a connection of its own.

use std::io::{self, Read};

use hostcompute_schema::compute::{Output, STDIN, STDOUT, STREAM_UPGRADES};
use hostcompute_schema::hcs::{
    ComputeEvent, ProcessModifyRequest, ProcessParameters, StdHandle, parse_answer, parse_value,
};
use hostcompute_schema::{ComputeOperation, Failure};

use super::carried::{self, Carried};
#[cfg(unix)]
use super::handed;
use super::letter::Letter;
use super::listen::Lines;
use super::wire::{Connection, Incoming, Request};
use super::{Reply, Socket, Trouble};
use crate::transport::{ComputeAnswer, ComputeCall, ComputeNotice, ComputeSource, Log, Streams};

impl Socket {
    /// Carries out a call that ends.
    pub(super) fn compute_call(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        use ComputeOperation as Own;
        if let Output::Streams = call.operation.output() {
            let streams = self.streams(call)?;
            return Ok(ComputeAnswer { streams, ..ComputeAnswer::default() });
        }
        self.mind_input(call);
        let letter = Letter::of_compute(call)?;
        let reply = match call.operation {
            Own::CreateComputeSystem
            | Own::OpenComputeSystem
            | Own::CloseComputeSystem
            | Own::CreateProcess
            | Own::OpenProcess
            | Own::CloseProcess => self.ask_in_session(&letter)?.succeeded()?,
            _ => self.ask(&letter)?.succeeded()?,
        };
        self.mind_handle(call);
        let warnings = reply.warnings();
        let mut answer =
            ComputeAnswer { body: reply.text()?, warnings, streams: Streams::default() };
        if call.operation == Own::CreateProcess {
            answer.streams = self.streams_of_new(call, &answer.body)?;
        }
        Ok(answer)
    }

    /// What is open is opened again in the next session, should this one break.
    fn mind_handle(&self, call: &ComputeCall<'_>) {
        let system = match call.operation {
            ComputeOperation::CreateComputeSystem => call.parameter("id").unwrap_or_default(),
            _ => call.system,
        };
        match call.operation {
            ComputeOperation::CreateComputeSystem | ComputeOperation::OpenComputeSystem => {
                self.hold(system);
            }
            ComputeOperation::CloseComputeSystem => self.let_go(system),
            _ => {}
        }
    }

    /// An input that the process is to lose ends after everything that was written into it.
    fn mind_input(&self, call: &ComputeCall<'_>) {
        let Some(pid) = call.pid else { return };
        let closes = match call.operation {
            ComputeOperation::CloseProcess => true,
            ComputeOperation::ModifyProcess => {
                let asked: Option<ProcessModifyRequest> = parse_answer(call.document).ok();
                let closed = asked.and_then(|asked| asked.close_handle?.handle);
                matches!(closed, Some(StdHandle::StdIn | StdHandle::All))
            }
            _ => false,
        };
        if closes {
            self.end_inputs(call.system, pid);
        }
    }

    /// The streams that a new process was asked to have.
    fn streams_of_new(&self, call: &ComputeCall<'_>, told: &str) -> Result<Streams, Failure> {
        let asked: ProcessParameters = parse_answer(call.document)?;
        let wanted =
            [asked.create_std_in_pipe, asked.create_std_out_pipe, asked.create_std_err_pipe];
        if !wanted.contains(&Some(true)) {
            return Ok(Streams::default());
        }
        let status: hostcompute_schema::hcs::ProcessStatus = parse_answer(told)?;
        let pid = status.process_id.unwrap_or_default();
        let get = ComputeCall::on(ComputeOperation::GetProcessInfo, call.system, "").process(pid);
        self.streams(&get)
    }

    fn streams(&self, call: &ComputeCall<'_>) -> Result<Streams, Failure> {
        match self.address() {
            #[cfg(unix)]
            crate::Address::Socket(_) => self.handed_over(call),
            _ => self.carried(call),
        }
    }

    /// Streams by their descriptors.
    #[cfg(unix)]
    fn handed_over(&self, call: &ComputeCall<'_>) -> Result<Streams, Failure> {
        self.upgraded(call, handed::UPGRADE, handed::ask)
    }

    /// Streams on connections of their own.
    fn carried(&self, call: &ComputeCall<'_>) -> Result<Streams, Failure> {
        let mut streams = Streams::default();
        for stream in STREAM_UPGRADES {
            let end = self.upgraded(call, stream.name, |connection, request| {
                carried::ask(connection, request, stream)
            })?;
            let Some(Carried { end, hold }) = end else { continue };
            if let (Some(hold), Some(pid)) = (hold, call.pid) {
                self.hold_input(call.system, pid, hold);
            }
            match stream.bit {
                STDIN => streams.input = Some(end),
                STDOUT => streams.output = Some(end),
                _ => streams.error = Some(end),
            }
        }
        Ok(streams)
    }

    /// What a connection brings that is upgraded to this.
    fn upgraded<T>(
        &self,
        call: &ComputeCall<'_>,
        to: &'static str,
        ask: impl FnOnce(Connection, &Request<'_>) -> io::Result<Upgraded<T>>,
    ) -> Result<T, Failure> {
        let mut letter = Letter::of_compute(call)?;
        letter.upgrade(to);
        letter.in_session(self.session());
        let broken = |error| Trouble::Broken(error).failure(self.address(), &letter.line());
        let connection =
            self.open().map_err(|trouble| trouble.failure(self.address(), &letter.line()))?;
        match ask(connection, &letter.request).map_err(broken)? {
            Upgraded::Done(brought) => Ok(brought),
            Upgraded::Refused(incoming) => {
                let (head, body, _) = incoming.whole().map_err(broken)?;
                Reply { head, body }.succeeded()?;
                Err(broken(io::Error::new(io::ErrorKind::InvalidData, "no streams came")))
            }
        }
    }

    /// An answer that goes on, on a connection of its own.
    fn endless(&self, call: &ComputeCall<'_>) -> Result<Incoming, Failure> {
        let letter = Letter::of_compute(call)?;
        let begun = self.patiently(&letter, || {
            let connection = self.open()?;
            connection.ask(&letter.request).map_err(Trouble::Broken)
        });
        let incoming = begun?;
        if incoming.head.status == 200 {
            return Ok(incoming);
        }
        let broken = |error| Trouble::Broken(error).failure(self.address(), &letter.line());
        let (head, body, _) = incoming.whole().map_err(broken)?;
        Reply { head, body }.succeeded()?;
        Err(broken(io::Error::new(io::ErrorKind::InvalidData, "an answer without an end")))
    }

    pub(super) fn listen_to(&self, system: &str) -> Result<impl ComputeSource + use<>, Failure> {
        let call = ComputeCall::on(ComputeOperation::SetComputeSystemCallback, system, "");
        let stream = self.endless(&call)?;
        Ok(Listening { socket: self.clone(), stream, lines: Lines::default(), ready: Vec::new() })
    }

    pub(super) fn read_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        let stream = self.endless(call)?;
        let interrupt = interrupter(&stream);
        Ok(Log::stoppable(Box::new(LogReader { stream, piece: Vec::new(), used: 0 }), interrupt))
    }
}

/// What a request for streams brought.
#[derive(Debug)]
pub(super) enum Upgraded<T> {
    Done(T),
    /// An ordinary answer, which is a refusal.
    Refused(Incoming),
}

/// Events of one system over the socket.
struct Listening {
    socket: Socket,
    stream: Incoming,
    lines: Lines,
    /// In reverse order.
    ready: Vec<ComputeNotice>,
}

impl ComputeSource for Listening {
    fn wait(&mut self) -> Result<Option<ComputeNotice>, Failure> {
        loop {
            if let Some(notice) = self.ready.pop() {
                return Ok(Some(notice));
            }
            let mut piece = Vec::new();
            let goes_on = self.stream.more(&mut piece).map_err(|error| {
                Trouble::Broken(error).failure(self.socket.address(), "tell what happens")
            })?;
            if !goes_on {
                return Ok(None);
            }
            for told in self.lines.take(&piece) {
                let notice = match told.name.as_str() {
                    "ServiceDisconnect" => ComputeNotice::Disconnected,
                    _ => ComputeNotice::Event(parse_event(&told.data)?),
                };
                self.ready.insert(0, notice);
            }
        }
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        interrupter(&self.stream)
    }
}

/// What makes a blocking read of a stream end.
fn interrupter(stream: &Incoming) -> Box<dyn Fn() + Send + Sync> {
    let stream = stream.stream();
    Box::new(move || {
        if let Ok(stream) = &stream {
            stream.end();
        }
    })
}

fn parse_event(data: &serde_json::Value) -> Result<ComputeEvent, Failure> {
    match serde_json::from_value(data.clone()) {
        Ok(event) => Ok(event),
        // The same reading, for its words.
        Err(_) => parse_value(data, "$"),
    }
}

/// A log over the socket.
struct LogReader {
    stream: Incoming,
    piece: Vec<u8>,
    used: usize,
}

impl Read for LogReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            self.piece.clear();
            self.used = 0;
            if !self.stream.more(&mut self.piece)? {
                return Ok(0);
            }
        }
        let rest = self.piece.get(self.used..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.used += count;
        Ok(count)
    }
}
