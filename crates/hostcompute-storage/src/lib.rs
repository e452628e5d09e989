//! Layers and images on Linux: a content-addressed store, trees of layers, and their merged view.
//!
//! [`overlay`] mounts layers and [`hold`] says which are in use; both are built without the feature `store`, for a supervisor that
//! needs nothing else. The crate is blocking, knows no daemon and no network (but for the feature `registry`), and executes nothing.

pub mod hold;
pub mod overlay;
