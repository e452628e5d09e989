//! `hc topology`: what is connected to what, as a tree for the terminal and as a picture.
//!
//! `model` says what is drawn, `arrange` finds it in the documents, `text` and `svg` draw it; `canvas` knows the syntax of SVG and
//! nothing else. `words` says parts of documents briefly; tables use it, too.

mod arrange;
pub mod canvas;
mod model;
mod svg;
#[cfg(test)]
mod tests;
mod text;
pub mod words;

pub use arrange::Documents;
pub use model::Topology;
pub use svg::draw as draw_svg;
pub use text::draw as draw_text;
