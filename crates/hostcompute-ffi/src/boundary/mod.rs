//! Where pointers of C programs are followed, and memory is made that C programs free.
//!
//! The types of this module are what the exported functions take as arguments. Each is as large as a pointer, only a C caller can make
//! one (they have no constructor), and the headers say what that caller promises; so their methods are safe, and whoever writes an
//! exported function cannot follow a pointer by mistake.

#[expect(unsafe_code, reason = "calls functions of the C program")]
mod callback;
#[expect(unsafe_code, reason = "reads a structure of the C program")]
mod options;
#[expect(unsafe_code, reason = "writes through pointers of the C program")]
mod out;
#[expect(unsafe_code, reason = "reads through pointers of the C program")]
mod text;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub use callback::{
    Completed, Completion, Context, EventFunction, Listener, Notification, Notify,
    OPERATION_CALLBACK,
};
pub use options::{CreateOptions, CreateOptionsIn};
pub use out::{Out, TextOut};
pub use platform::{Block, Descriptor, allocate, stay};
#[cfg(windows)]
pub use platform::{DriverIn, Length, ParentsIn, Room, path_below};
pub use text::{GuidIn, Text};
