//! The functions of Windows with safe signatures. What is unsafe about them stays in here: their shapes (functions.md of the project's
//! reference has them all), memory that they hand out, handles, and the threads on which they call back.

#[cfg(adapters)]
pub mod adapters;
pub mod callback;
pub mod hcn;
pub mod hcs;
pub mod hns;
pub mod layer;
pub mod library;
pub mod memory;
