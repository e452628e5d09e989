//! The C ABI: the functions of computenetwork.dll, computecore.dll and computestorage.dll, and HNSCall of vmcompute.dll, in one
//! shared library; for Windows programs, under Wine first of all, it is the library behind DLLs of those names. What they promise to C programs stands in the headers in `include`, what they do is the crate [`hostcompute`]'s.
//!
//! ```text
//!   network, compute, storage  the exported functions: read arguments, ask the crate, hand out results
//!   call                       what is common to all: no panic leaves, failures become codes and records
//!   handle                     handles are numbers in a table, never addresses
//!   gate                       callbacks: one at a time, none after the registration has ended
//!   boundary                   pointers of others are followed here and nowhere else
//! ```

mod boundary;
mod call;
mod compute;
mod gate;
mod handle;
mod network;
mod service;
mod storage;
