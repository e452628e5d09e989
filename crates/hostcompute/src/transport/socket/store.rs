//! Calls about images and layers over the socket: archives are bodies, long work tells of itself line by line. Whoever does not want to
//! go on leaves, and the service stops what it does for them.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;

use hostcompute_schema::compute::Output;
use hostcompute_schema::{Failure, HResult};
use hostcompute_storage::Watch;
use serde_json::Value;

use super::letter::{self, Letter};
use super::wire::Incoming;
use super::{Reply, Socket, Trouble, garbled};
use crate::store::{StoreCall, Told, told};

/// ERROR_GEN_FAILURE: what a store inside the process says of a device that does not function.
const GEN_FAILURE: HResult = HResult(0x8007_001f);

impl Socket {
    /// Carries out a call; null where there is nothing to say.
    pub(super) fn store_call(
        &self,
        call: StoreCall<'_>,
        watch: Watch<'_>,
    ) -> Result<Value, Failure> {
        let letter = Letter::of_store(&call)?;
        if let Output::Archive = call.operation.output() {
            let why = || Failure::new(HResult::E_INVALIDARG, "there is nowhere to write it");
            return self.fetch(&letter, call.archive.ok_or_else(why)?);
        }
        let incoming = match call.archive {
            Some(archive) => self.send(&letter, archive)?,
            None => self.patiently(&letter, || self.begin(&letter))?,
        };
        if incoming.head.status == 200 && incoming.head.is(letter::NDJSON) {
            return self.attend(&letter, incoming, watch);
        }
        let reply = self.whole(&letter, incoming)?.succeeded()?;
        match reply.body.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice(&reply.body).map_err(|error| garbled(&error)),
        }
    }

    /// A request whose body is read from a file or pipe, on a connection of its own.
    fn send(&self, letter: &Letter<'_>, archive: File) -> Result<Incoming, Failure> {
        let failed = |trouble: Trouble| trouble.failure(self.address(), &letter.line());
        let connection = self.open().map_err(failed)?;
        connection.pour(&letter.request, archive).map_err(|error| failed(Trouble::Broken(error)))
    }

    /// An answer that is an archive.
    fn fetch(&self, letter: &Letter<'_>, mut output: File) -> Result<Value, Failure> {
        let mut incoming = self.patiently(letter, || self.begin(letter))?;
        if incoming.head.status != 200 {
            self.whole(letter, incoming)?.succeeded()?;
            return Ok(Value::Null);
        }
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let goes_on = incoming.more(&mut piece).map_err(|error| {
                let failure = Trouble::Broken(error).failure(self.address(), &letter.line());
                failure.hint("the log of the service says why it broke off")
            })?;
            if !goes_on {
                break;
            }
            output.write_all(&piece).map_err(|error| {
                let code = match error.kind() {
                    io::ErrorKind::StorageFull => HResult::ERROR_DISK_FULL,
                    _ => GEN_FAILURE,
                };
                Failure::new(code, format!("cannot write the archive: {error}"))
            })?;
        }
        let broken = |error| Trouble::Broken(error).failure(self.address(), &letter.line());
        let (_, _, connection) = incoming.whole().map_err(broken)?;
        self.keep(connection);
        Ok(Value::Null)
    }

    /// Hands on what is told, up to the end.
    fn attend(
        &self,
        letter: &Letter<'_>,
        incoming: Incoming,
        watch: Watch<'_>,
    ) -> Result<Value, Failure> {
        let mut end = None;
        let heard = self.lines(incoming, &mut |line| match told(line, watch) {
            Told::Progress(wish) => wish,
            Told::End(outcome) => {
                end = Some(outcome);
                ControlFlow::Continue(())
            }
        });
        match heard {
            Ok(ControlFlow::Break(())) => Err(Failure::new(HResult::E_ABORT, "interrupted")),
            Ok(ControlFlow::Continue(())) => end.unwrap_or_else(|| {
                let error = io::ErrorKind::UnexpectedEof.into();
                Err(Trouble::Broken(error).failure(self.address(), &letter.line()))
            }),
            Err(error) => Err(Trouble::Broken(error).failure(self.address(), &letter.line())),
        }
    }

    fn whole(&self, letter: &Letter<'_>, incoming: Incoming) -> Result<Reply, Failure> {
        let broken = |error| Trouble::Broken(error).failure(self.address(), &letter.line());
        let (head, body, connection) = incoming.whole().map_err(broken)?;
        self.keep(connection);
        Ok(Reply { head, body })
    }
}
