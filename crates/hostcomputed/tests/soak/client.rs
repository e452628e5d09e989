//! One client: makes a container on the network, looks whether it works, ends it in one of several ways, and takes back what was its own.

use std::io::Read;
use std::time::{Duration, Instant};

use hostcompute::schema::HostComputeEndpoint;
use hostcompute::schema::hcs::{State, SystemPropertyQuery};
use hostcompute::{Endpoint, Failure, Guid, HResult, Host, Namespace, Process, System};
use serde_json::{Value, json};

use crate::ledger::Ledger;
use crate::random::Random;
use crate::remains;
use crate::site::Site;

/// Longer than anything takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// Something was struck, or the daemon was away: nobody knows what became of it.
struct Disturbed;

type Known<T> = Result<T, Disturbed>;

pub struct Client<'a> {
    site: &'a Site,
    ledger: &'a Ledger,
    host: Host,
    network: Guid,
    random: Random,
    number: usize,
    cycle: usize,
    /// The container ends with this life of the daemon, and this is its number.
    hangs_on: Option<usize>,
}

/// How one container comes to the network, and what of it is the client's.
enum Attached {
    /// By a network: the service makes what is needed, and takes it back.
    Network(Guid),
    /// By an endpoint.
    Endpoint(Guid),
    /// By a namespace with an endpoint in it.
    Namespace(Guid, Guid),
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.ledger.give_up();
        }
    }
}

impl<'a> Client<'a> {
    pub fn new(
        site: &'a Site,
        ledger: &'a Ledger,
        network: Guid,
        number: usize,
        seed: u64,
    ) -> Self {
        let host = Host::connect(site.socket()).expect("the daemon answers");
        let random = Random::new(seed.wrapping_mul(1_000_003) ^ number as u64);
        Self { site, ledger, host, network, random, number, cycle: 0, hangs_on: None }
    }

    /// Until enough is done.
    pub fn run(mut self) {
        while self.ledger.next() {
            self.cycle += 1;
            let id = format!("{}-{}-{}", self.site.prefix, self.number, self.cycle);
            let was_whole = self.one(&id);
            self.ledger.count(was_whole);
        }
    }

    /// One container, from nothing to nothing; whether nothing came between.
    fn one(&mut self, id: &str) -> bool {
        let attached = self.attach(id);
        let lived = match &attached {
            Ok(attached) => self.live(id, attached),
            Err(Disturbed) => Err(Disturbed),
        };
        self.ledger.ends(id);
        self.end(id);
        if let Ok(attached) = &attached {
            self.detach(attached);
        } else {
            self.detach_what_is_called(id);
        }
        lived.is_ok()
    }

    /// For some containers an endpoint, and for some of those a namespace with it inside.
    fn attach(&mut self, id: &str) -> Known<Attached> {
        let way = self.random.below(3);
        if way == 0 {
            return Ok(Attached::Network(self.network));
        }
        let network = hostcompute::Network::open(&self.host, self.network);
        let network = self.known(id, network)?;
        let mut document = HostComputeEndpoint::default();
        document.base.name = Some(id.to_owned());
        let endpoint = self.known(id, Endpoint::create(&network, &document))?;
        if way == 1 {
            return Ok(Attached::Endpoint(endpoint.id()));
        }
        // Known beforehand, so that it can be taken back also where nobody heard that it was made.
        let namespace = Guid::from_random(self.random.wide());
        let attached = Attached::Namespace(namespace, endpoint.id());
        let made = Namespace::create_json(&self.host, Some(namespace), "{}");
        let joined = made.and_then(|(namespace, _)| namespace.add(&endpoint));
        if let Err(Disturbed) = self.known(id, joined) {
            self.detach(&attached);
            return Err(Disturbed);
        }
        Ok(attached)
    }

    fn live(&mut self, id: &str, attached: &Attached) -> Known<()> {
        let way = self.random.below(4);
        let ends_with_handle = way == 0;
        // A daemon that dies lets go of it.
        self.hangs_on = ends_with_handle.then(|| self.ledger.blows());
        let document = self.document(attached, ends_with_handle);
        let made = System::create_json(&self.host, id, &document.to_string());
        let (system, _) = self.known(id, made)?;
        self.known(id, system.start())?;
        let stays = self.random.below(3) > 0;
        let mut process = self.begin(id, &system, stays)?;
        if !ends_with_handle && stays {
            self.ledger.runs(id);
        }
        self.is_on_the_network(id, &mut process)?;
        if stays {
            self.works(id, &system)?;
        } else {
            let status = self.known(id, process.wait(Some(LONG)))?;
            if status.exit_code != Some(7) && self.is_struck(id) {
                // Its first process was killed, and took it along.
                return Err(Disturbed);
            }
            assert_eq!(status.exit_code, Some(7), "{id}");
        }
        self.ledger.ends(id);
        match way {
            0 => drop(system),
            1 => {
                self.known(id, system.pause(&Default::default()).and_then(|()| system.terminate()))?
            }
            _ => self.known(id, system.terminate())?,
        }
        Ok(())
    }

    fn document(&self, attached: &Attached, ends_with_handle: bool) -> Value {
        let networking = match attached {
            Attached::Namespace(namespace, _) => json!({ "Namespace": namespace.to_string() }),
            Attached::Network(id) | Attached::Endpoint(id) => {
                json!({ "NetworkAdapters": [id.to_string()] })
            }
        };
        let mut document = self.site.container(networking);
        document["ShouldTerminateOnLastHandleClosed"] = ends_with_handle.into();
        document
    }

    /// A process that tells its address and ends, or stays.
    fn begin(&self, id: &str, system: &System, stays: bool) -> Known<Process> {
        let end = if stays { "exec sleep 100000" } else { "exit 7" };
        let script = format!("ip -o -4 addr show dev eth0; echo begun; {end}");
        let document = json!({ "CommandArgs": ["sh", "-c", script], "CreateStdOutPipe": true });
        self.known(id, system.run_json(&document.to_string())).map(|(process, _)| process)
    }

    /// It sees its address, and everything that it wrote comes.
    fn is_on_the_network(&self, id: &str, process: &mut Process) -> Known<()> {
        let mut output = process.stdout.take().expect("asked for");
        let (mut told, mut piece) = (Vec::new(), [0; 512]);
        while !told.ends_with(b"begun\n") {
            match output.read(&mut piece) {
                Ok(count) if count > 0 => told.extend_from_slice(&piece[..count]),
                // Its end: whoever carried it was struck.
                _ if self.is_struck(id) => return Err(Disturbed),
                ended => panic!("{id} wrote {:?}, then {ended:?}", String::from_utf8_lossy(&told)),
            }
        }
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("inet 10.65."), "{id}: {told}");
        Ok(())
    }

    /// It is told to run, and runs.
    fn works(&mut self, id: &str, system: &System) -> Known<()> {
        for _ in 0..self.random.below(12) {
            let told = self.known(id, system.properties(&SystemPropertyQuery::default()))?;
            // What is struck may be told to run for a moment, or not.
            if told.state != Some(State::Running) && !self.is_struck(id) {
                panic!("{id} is {:?}", told.state);
            }
            let script = json!({ "CommandArgs": ["true"] }).to_string();
            let (process, _) = self.known(id, system.run_json(&script))?;
            let status = self.known(id, process.wait(Some(LONG)))?;
            if status.exit_code != Some(0) && !self.is_struck(id) {
                panic!("{id}: {status:?}");
            }
        }
        Ok(())
    }

    /// Whatever became of it: from here on it is not there.
    fn end(&self, id: &str) {
        let until = Instant::now() + LONG;
        loop {
            let failure = match System::open(&self.host, id) {
                Ok(system) => system.terminate().and_then(|()| system.wait(Some(LONG)).map(drop)),
                Err(failure) => Err(failure),
            };
            match failure {
                Err(failure) if failure.is_not_found() => return,
                _ => {}
            }
            assert!(Instant::now() < until, "{id} does not end: {failure:?}");
        }
    }

    fn detach(&self, attached: &Attached) {
        if let Attached::Endpoint(endpoint) | Attached::Namespace(_, endpoint) = *attached {
            self.gone("endpoint", || Endpoint::open(&self.host, endpoint)?.delete());
        }
        if let Attached::Namespace(namespace, _) = *attached {
            self.gone("namespace", || Namespace::open(&self.host, namespace)?.delete());
        }
    }

    /// Nobody heard whether the endpoint was made.
    fn detach_what_is_called(&self, name: &str) {
        self.gone("endpoint", || Endpoint::find(&self.host, name)?.delete());
    }

    /// Deletes until it is not there.
    fn gone(&self, what: &str, delete: impl Fn() -> Result<(), Failure>) {
        let until = Instant::now() + LONG;
        loop {
            match delete() {
                Err(failure) if failure.is_not_found() => return,
                Err(failure) if !is_away(&failure) => panic!("{what}: {failure}"),
                _ => {}
            }
            assert!(Instant::now() < until, "the {what} stays");
        }
    }

    /// Whether it may have ended for a reason of this test's.
    fn is_struck(&self, id: &str) -> bool {
        let hangs_on_another = self.hangs_on.is_some_and(|life| life != self.ledger.blows());
        hangs_on_another || self.ledger.is_struck(id)
    }

    /// What failed because somebody was struck is nobody's fault.
    fn known<T>(&self, id: &str, outcome: Result<T, Failure>) -> Known<T> {
        match outcome {
            Ok(value) => Ok(value),
            Err(failure) if is_away(&failure) || self.is_struck(id) => Err(Disturbed),
            Err(failure) => panic!("{id}: {failure}; {:?}", remains::told(self.site, id)),
        }
    }
}

/// The daemon was killed under the call.
pub fn is_away(failure: &Failure) -> bool {
    failure.hresult == HResult::RPC_S_SERVER_UNAVAILABLE
}
