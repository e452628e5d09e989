//! Layers, as computestorage.dll works on them. What the crate offers of it is [`crate::layer`].

pub(crate) use super::boundary::layer::{
    attach, destroy, detach, export, id, import, initialize_writable, setup_base,
};
