//! Where Windows calls back: on threads of its own, perhaps once more after it was told to stop. A context is therefore no address of
//! memory but the number of a mailbox, and a number that nobody has any more is for nobody. Whoever gives a number back waits for calls
//! that are under way: nothing comes into a mailbox afterwards.
#![expect(unsafe_code, reason = "reads what the system lends to callbacks")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::memory::read;
use crate::transport::windows::mailbox::{Letter, Mailbox};

/// HCN_NOTIFICATION_CALLBACK.
pub type Network = unsafe extern "system" fn(u32, *const c_void, i32, *const u16);

/// HCS_EVENT_CALLBACK.
pub type Compute = unsafe extern "system" fn(*const Event, *const c_void);

/// HCS_EVENT.
#[repr(C)]
#[derive(Debug)]
pub struct Event {
    kind: i32,
    data: *const u16,
    operation: *mut c_void,
}

type Mailboxes = BTreeMap<usize, Arc<Known>>;

/// A mailbox that somebody may be putting something into.
struct Known {
    mailbox: Arc<Mailbox>,
    /// Read by calls that are under way.
    under_way: RwLock<()>,
}

static MAILBOXES: Mutex<Mailboxes> = Mutex::new(BTreeMap::new());

fn mailboxes() -> MutexGuard<'static, Mailboxes> {
    MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number under which a mailbox is known; nobody knows it any more when this is dropped.
#[derive(Debug)]
pub struct Address(usize);

impl Address {
    /// Makes a mailbox known.
    pub fn of(mailbox: &Arc<Mailbox>) -> Self {
        let mut known = mailboxes();
        // Numbers of the past stay unused: somebody may still call them.
        static LAST: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let mailbox = mailbox.clone();
        known.insert(number, Arc::new(Known { mailbox, under_way: RwLock::default() }));
        Self(number)
    }

    /// What Windows hands to the callback.
    pub fn context(&self) -> *const c_void {
        std::ptr::without_provenance(self.0)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let known = mailboxes().remove(&self.0);
        if let Some(known) = known {
            // No call can begin any more, and none of those under way waits for us.
            drop(known.under_way.write());
        }
    }
}

fn deliver(context: *const c_void, letter: impl FnOnce() -> Letter) {
    let all = mailboxes();
    let Some(known) = all.get(&context.addr()).cloned() else { return };
    // Taken before the mailbox can be forgotten, and never waited for: who writes has removed it first.
    let under_way = known.under_way.read();
    drop(all);
    known.mailbox.put(letter());
    drop(under_way);
}

/// Takes a notification of the network service.
///
/// # Safety
/// `data` is NULL or a text with a zero behind, for the time of the call.
pub unsafe extern "system" fn network(
    kind: u32,
    context: *const c_void,
    _status: i32,
    data: *const u16,
) {
    deliver(context, || {
        // SAFETY: the caller vouches for the text.
        Letter { kind, data: unsafe { read(data) } }
    });
}

/// Takes an event of the compute service.
///
/// # Safety
/// `event` is NULL or an event whose data is NULL or a text with a zero behind, for the time of the call.
pub unsafe extern "system" fn compute(event: *const Event, context: *const c_void) {
    // SAFETY: the caller vouches for the event.
    let Some(event) = (unsafe { event.as_ref() }) else { return };
    deliver(context, || {
        // SAFETY: the caller vouches for its data.
        Letter { kind: event.kind.cast_unsigned(), data: unsafe { read(event.data) } }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_to_the_mailbox_of_their_number_and_later_ones_to_nobody() {
        let mailbox = Arc::new(Mailbox::default());
        let address = Address::of(&mailbox);
        let context = address.context();
        let data: Vec<u16> = "{}".encode_utf16().chain([0]).collect();
        // SAFETY: the text ends with a zero and outlives the call.
        unsafe { network(2, context, 0, data.as_ptr()) };
        let event = Event { kind: 1, data: std::ptr::null(), operation: std::ptr::null_mut() };
        // SAFETY: the event outlives the call.
        unsafe { compute(&event, context) };
        drop(address);
        // SAFETY: NULL is allowed.
        unsafe { network(3, context, 0, std::ptr::null()) };
        let taken = || mailbox.take().map(|letter| (letter.kind, letter.data));
        assert_eq!(taken(), Some((2, "{}".to_owned())));
        assert_eq!(taken(), Some((1, String::new())));
        mailbox.close();
        assert_eq!(taken(), None);
    }

    #[test]
    fn who_gives_a_number_back_waits_for_calls_under_way() {
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::sync::mpsc::channel;

        let mailbox = Arc::new(Mailbox::default());
        let address = Address::of(&mailbox);
        let number = address.0;
        let (begun, begins) = channel();
        let (go, goes) = channel::<()>();
        let said = Arc::new(AtomicBool::new(false));
        let caller = std::thread::spawn(move || {
            deliver(std::ptr::without_provenance(number), || {
                begun.send(()).expect("the test waits");
                goes.recv().expect("the test goes on");
                Letter { kind: 7, data: String::new() }
            });
        });
        begins.recv().expect("the call has begun");
        let was_said = said.clone();
        let dropper = std::thread::spawn(move || {
            drop(address);
            was_said.load(Ordering::SeqCst)
        });
        said.store(true, Ordering::SeqCst);
        go.send(()).expect("the call waits");
        assert!(dropper.join().expect("no panic"), "it did not wait");
        assert_eq!(mailbox.take().map(|letter| letter.kind), Some(7));
        caller.join().expect("no panic");
    }
}
