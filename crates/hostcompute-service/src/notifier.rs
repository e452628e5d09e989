//! Notifications: what happened, in order, to everybody who wants to hear it.
//!
//! Every event has a number; numbers begin with 1 and have no gaps. The last events are kept in a ring, so that a reader who comes back can go on
//! where it was, or is told how many it missed. Each reader has a bounded queue of its own: whoever does not read is cut off with
//! [`Notice::Disconnected`] and delays nobody.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use hostcompute_engine::Event;
use hostcompute_schema::Guid;

use crate::mailbox::Mailbox;
use crate::sync::{Arc, Mutex, lock};

/// How many events are kept for those who come back.
const LENGTH: usize = 4096;

/// What a subscription is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Everything that happens.
    All,
    /// What happens to one network: to itself, and endpoints of it that come into namespaces and leave them.
    Network(Guid),
    /// What happens to one guest network service.
    GuestService(Guid),
}

impl Topic {
    fn holds(self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => event.network == Some(network),
            Self::GuestService(id) => event.is_of_guest_service(id),
        }
    }
}

/// One thing that a subscription tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Event {
        number: u64,
        event: Event,
    },
    /// So many events (of any topic) were gone before they could be told; what follows has no gap. 0: what the reader heard
    /// before was another history, with other numbers.
    Missed(u64),
    /// The last notice: `ServiceDisconnect`.
    Disconnected(Disconnect),
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// The reader was too far behind.
    TooSlow,
    /// The service stops.
    Stopping,
    /// The session that subscribed has ended.
    SessionEnded,
}

impl Disconnect {
    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooSlow => {
                "the reader was too far behind; subscribe anew and look at everything once"
            }
            Self::Stopping => "the service stops",
            Self::SessionEnded => "the session has ended",
        }
    }
}

/// The events since a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    pub events: Vec<Event>,
    /// Pass this to the next call.
    pub next: u64,
    /// Events that had left the ring before they were asked for.
    pub missed: u64,
}

/// The ring and the readers.
#[derive(Debug)]
pub(crate) struct Notifier {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    ring: VecDeque<Event>,
    /// Number of the first event in the ring.
    first: u64,
    /// Number of the first event of this process.
    started: u64,
    readers: BTreeMap<u64, Reader>,
    last_reader: u64,
    stopped: bool,
    cut_off: u64,
}

#[derive(Debug)]
struct Reader {
    topic: Topic,
    session: Guid,
    mailbox: Arc<Mailbox<Notice>>,
}

impl Inside {
    fn next(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Event)> {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let skip = skip.min(self.ring.len());
        (self.first + skip as u64..).zip(self.ring.iter().skip(skip))
    }

    fn keep(&mut self, event: Event) {
        if self.ring.len() == LENGTH {
            self.ring.pop_front();
            self.first += 1;
        }
        self.ring.push_back(event);
    }

    /// Hands an event to those who want it; who has no room for it is cut off.
    fn tell(&mut self, number: u64, event: &Event, told: &mut Vec<Arc<Mailbox<Notice>>>) {
        let mut slow = Vec::new();
        for (id, reader) in self.readers.iter().filter(|(_, reader)| reader.topic.holds(event)) {
            let notice = Notice::Event { number, event: event.clone() };
            if reader.mailbox.put(notice).is_err() {
                reader.mailbox.end(Notice::Disconnected(Disconnect::TooSlow));
                slow.push(*id);
            }
            told.push(reader.mailbox.clone());
        }
        self.cut_off += slow.len() as u64;
        slow.iter().for_each(|id| drop(self.readers.remove(id)));
    }
}

/// Numbers for those who watch the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Events of this process.
    pub published: u64,
    pub subscriptions: usize,
    /// Subscriptions that were cut off because nobody read them.
    pub cut_off: u64,
}

impl Notifier {
    /// The next event gets the number `first`.
    pub fn starting_at(first: u64) -> Self {
        Self { inside: Mutex::new(Inside { first, started: first, ..Inside::default() }) }
    }

    /// Appends the events of one operation.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        let mut told = Vec::new();
        {
            let mut inside = lock(&self.inside);
            for event in events {
                let number = inside.next();
                inside.tell(number, &event, &mut told);
                inside.keep(event);
            }
        }
        // Without the lock: the called may come back.
        told.iter().for_each(|mailbox| mailbox.call());
    }

    /// The number that the next event gets.
    pub fn next(&self) -> u64 {
        lock(&self.inside).next()
    }

    /// The events of this process from number `from` on.
    pub fn since(&self, from: u64) -> Happened {
        let inside = lock(&self.inside);
        let from = from.max(inside.started);
        Happened {
            events: inside.since(from).map(|(_, event)| event.clone()).collect(),
            next: inside.next(),
            missed: inside.first.saturating_sub(from),
        }
    }

    /// Everything of a topic from now on, or from the event after number `after` on.
    pub fn subscribe(
        self: &Arc<Self>,
        topic: Topic,
        after: Option<u64>,
        session: Guid,
        backlog: usize,
    ) -> Subscription {
        let mut inside = lock(&self.inside);
        let from = after.map_or(inside.next(), |last| last.saturating_add(1));
        let mut first = Vec::new();
        if from < inside.first {
            first.push(Notice::Missed(inside.first - from));
        } else if from > inside.next() {
            first.push(Notice::Missed(0));
        }
        let happened = inside.since(from).filter(|(_, event)| topic.holds(event));
        first
            .extend(happened.map(|(number, event)| Notice::Event { number, event: event.clone() }));
        let mailbox = Arc::new(Mailbox::new(first, backlog));
        if inside.stopped {
            mailbox.end(Notice::Disconnected(Disconnect::Stopping));
        }
        inside.last_reader += 1;
        let number = inside.last_reader;
        inside.readers.insert(number, Reader { topic, session, mailbox: mailbox.clone() });
        Subscription { notifier: self.clone(), number, mailbox, _lease: None }
    }

    /// Ends the subscriptions of a session.
    pub fn end_session(&self, session: Guid) {
        self.end_where(|reader| reader.session == session, Disconnect::SessionEnded);
    }

    /// Ends all subscriptions, also those to come.
    pub fn stop(&self) {
        lock(&self.inside).stopped = true;
        self.end_where(|_| true, Disconnect::Stopping);
    }

    /// Numbers for those who watch the service.
    pub fn told(&self) -> Told {
        let inside = lock(&self.inside);
        Told {
            published: inside.next() - inside.started,
            subscriptions: inside.readers.len(),
            cut_off: inside.cut_off,
        }
    }

    fn end_where(&self, which: impl Fn(&Reader) -> bool, why: Disconnect) {
        let mut ended = Vec::new();
        lock(&self.inside).readers.retain(|_, reader| {
            let ends = which(reader);
            if ends {
                reader.mailbox.end(Notice::Disconnected(why));
                ended.push(reader.mailbox.clone());
            }
            !ends
        });
        ended.iter().for_each(|mailbox| mailbox.call());
    }
}

/// A reader's end. Dropping it unsubscribes.
pub struct Subscription {
    notifier: Arc<Notifier>,
    number: u64,
    mailbox: Arc<Mailbox<Notice>>,
    _lease: Option<Box<dyn Send + Sync>>,
}

impl Subscription {
    /// Keeps something as long as the subscription lives: its place within a limit.
    pub(crate) fn holding(self, lease: impl Send + Sync + 'static) -> Self {
        let mut this = self;
        this._lease = Some(Box::new(lease));
        this
    }

    /// The next notice, if there is one.
    pub fn try_next(&self) -> Option<Notice> {
        self.mailbox.take()
    }

    /// The next notice, waiting at most `patience`; `None` also after the last one ([`Self::is_over`]).
    pub fn next(&self, patience: Duration) -> Option<Notice> {
        self.mailbox.take_within(patience)
    }

    /// From now on `ready` is called whenever there is something to read; at once if there is already. It is called on the thread
    /// that changes the host: it must do no more than wake somebody.
    pub fn on_ready(&self, ready: impl Fn() + Send + Sync + 'static) {
        self.mailbox.on_ready(Arc::new(ready));
    }

    /// Whether the last notice was taken.
    pub fn is_over(&self) -> bool {
        self.mailbox.is_over()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.notifier.inside).readers.remove(&self.number);
    }
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use hostcompute_engine::EventKind;

    use super::*;

    fn event(network: u8) -> Event {
        let id = Guid::from_bytes([network; 16]);
        Event { network: Some(id), ..Event::about(EventKind::NetworkCreate, id) }
    }

    fn numbers(subscription: &Subscription) -> Vec<u64> {
        let notices = std::iter::from_fn(|| subscription.try_next());
        notices
            .map(|notice| match notice {
                Notice::Event { number, .. } => number,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn notifier() -> Arc<Notifier> {
        Arc::new(Notifier::starting_at(0))
    }

    #[test]
    fn numbers_that_nobody_ever_had_are_told_as_another_history() {
        let notifier = notifier();
        notifier.publish([event(1)]);
        for after in [7, u64::MAX - 1, u64::MAX] {
            let back = notifier.subscribe(Topic::All, Some(after), Guid::default(), 8);
            assert_eq!(back.try_next(), Some(Notice::Missed(0)), "{after}");
            assert_eq!(back.try_next(), None);
        }
        assert_eq!(notifier.since(u64::MAX).next, 1);
    }

    #[test]
    fn readers_hear_their_topic_in_order_from_where_they_were() {
        let notifier = notifier();
        notifier.publish([event(1), event(2)]);
        let network = Topic::Network(Guid::from_bytes([1; 16]));
        let all = notifier.subscribe(Topic::All, None, Guid::default(), 10);
        let one = notifier.subscribe(network, Some(0), Guid::default(), 10);
        let again = notifier.subscribe(Topic::All, Some(0), Guid::default(), 10);
        notifier.publish([event(2), event(1)]);
        assert_eq!(numbers(&all), [2, 3]);
        assert_eq!(numbers(&one), [3]);
        assert_eq!(numbers(&again), [1, 2, 3]);
        drop((all, one, again));
        assert_eq!(notifier.told().subscriptions, 0);
    }

    #[test]
    fn who_does_not_read_is_cut_off_and_the_others_are_not() {
        let notifier = notifier();
        let slow = notifier.subscribe(Topic::All, None, Guid::default(), 2);
        let other = notifier.subscribe(Topic::All, None, Guid::default(), 20);
        (0..10).for_each(|_| notifier.publish([event(1)]));
        assert_eq!(numbers(&other), (0..10).collect::<Vec<_>>());
        let heard: Vec<_> = std::iter::from_fn(|| slow.try_next()).collect();
        assert_eq!(heard.len(), 3);
        assert_eq!(heard.last(), Some(&Notice::Disconnected(Disconnect::TooSlow)));
        assert!(slow.is_over() && !other.is_over());
        assert_eq!((notifier.told().subscriptions, notifier.told().cut_off), (1, 1));
    }

    #[test]
    fn who_comes_back_too_late_is_told_how_much_is_gone() {
        let notifier = notifier();
        notifier.publish((0..LENGTH + 5).map(|_| event(1)));
        let late = notifier.subscribe(Topic::All, Some(1), Guid::default(), 10);
        assert_eq!(late.try_next(), Some(Notice::Missed(3)));
        assert!(matches!(late.try_next(), Some(Notice::Event { number: 5, .. })));
        assert_eq!(notifier.since(0).missed, 5);
    }

    #[test]
    fn sessions_and_services_end_what_they_began() {
        let notifier = notifier();
        let (mine, yours) = (Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16]));
        let first = notifier.subscribe(Topic::All, None, mine, 10);
        let second = notifier.subscribe(Topic::All, None, yours, 10);
        notifier.end_session(mine);
        assert_eq!(first.try_next(), Some(Notice::Disconnected(Disconnect::SessionEnded)));
        notifier.publish([event(1)]);
        assert_eq!(first.try_next(), None);
        notifier.stop();
        let third = notifier.subscribe(Topic::All, Some(0), yours, 10);
        let last = Some(Notice::Disconnected(Disconnect::Stopping));
        assert!(matches!(second.try_next(), Some(Notice::Event { number: 0, .. })));
        assert_eq!((second.try_next(), third.try_next()), (last.clone(), last));
    }
}
