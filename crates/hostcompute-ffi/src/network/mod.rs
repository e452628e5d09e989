//! libcomputenetwork: the functions of computenetwork.dll, and HNSCall.

mod entity;
mod exports;
mod guest;
mod hns;
mod listen;

pub use entity::Entity;
pub use guest::Reserved;
pub use listen::Listening;
