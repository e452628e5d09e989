//! A sheet that SVG elements are written on: boxes, texts, lines, and an estimate of how wide a text will be.
//!
//! SVG cannot measure text before it is shown, so widths are estimated from the average glyph of the common sans-serif fonts, a
//! little on the large side: a text may leave some room, it must not run out of its box.

use std::fmt::Write;

/// Elements so far.
#[derive(Debug, Default)]
pub struct Canvas {
    body: String,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Font {
    pub size: f32,
    pub color: &'static str,
    pub style: Style,
}

/// The faces in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Regular,
    Bold,
    Italic,
    /// For addresses: digits of one width.
    Mono,
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Canvas {
    /// A box with rounded corners.
    pub fn panel(&mut self, area: Area, radius: f32, fill: &str, stroke: &str) {
        let Area { x, y, width, height } = area;
        self.element(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>"
        ));
    }

    /// A text that starts at `x` with its baseline at `y`.
    pub fn text(&mut self, x: f32, y: f32, font: Font, text: &str) {
        let face = match font.style {
            Style::Regular => "",
            Style::Bold => " font-weight=\"600\"",
            Style::Italic => " font-style=\"italic\"",
            Style::Mono => " font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\"",
        };
        let (size, color, text) = (font.size, font.color, escape(text));
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\"{face}>{text}</text>"
        ));
    }

    /// A text cut to `width`, with an ellipsis where something is missing.
    pub fn text_within(&mut self, x: f32, y: f32, width: f32, font: Font, text: &str) {
        self.text(x, y, font, &fit(text, width, font));
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f32, f32)], color: &str, width: f32) {
        let mut path = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let command = if place == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        self.element(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        ));
    }

    /// A filled circle.
    pub fn dot(&mut self, x: f32, y: f32, radius: f32, color: &str) {
        self.element(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{color}\"/>"
        ));
    }

    /// A small rounded label; returns its width.
    pub fn chip(&mut self, x: f32, y: f32, label: &str, fill: &str, color: &'static str) -> f32 {
        let width = chip_width(label);
        self.panel(Area { x, y, width, height: CHIP_HEIGHT }, 9.0, fill, "none");
        let (size, middle, label) = (CHIP_FONT.size, x + width / 2.0, escape(label));
        // Centred, so that an inexact estimate of the width does not show.
        self.element(format_args!(
            "<text x=\"{middle:.1}\" y=\"{:.1}\" font-size=\"{size}\" fill=\"{color}\" \
             text-anchor=\"middle\">{label}</text>",
            y + 12.8
        ));
        width
    }

    /// The finished document.
    pub fn finish(self, width: f32, height: f32, title: &str) -> String {
        let title = escape(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fbfcfe\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }
}

/// Height of every chip.
pub const CHIP_HEIGHT: f32 = 18.0;
const CHIP_MARGIN: f32 = 8.0;
const CHIP_FONT: Font = Font { size: 11.0, color: "#1b2430", style: Style::Regular };

/// How wide a chip with this label is.
pub fn chip_width(label: &str) -> f32 {
    measure(label, CHIP_FONT) + 2.0 * CHIP_MARGIN
}

/// Estimated width of a text.
pub fn measure(text: &str, font: Font) -> f32 {
    let average = match font.style {
        Style::Mono => 0.61,
        Style::Bold => 0.66,
        Style::Regular | Style::Italic => 0.57,
    };
    // Precision is no concern: texts are short.
    text.chars().count() as f32 * font.size * average
}

fn fit(text: &str, width: f32, font: Font) -> String {
    if measure(text, font) <= width {
        return text.to_owned();
    }
    let mut short: String = text.to_owned();
    while !short.is_empty() && measure(&short, font) + font.size > width {
        short.pop();
    }
    format!("{short}…")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_element() {
        let mut canvas = Canvas::default();
        canvas.text(0.0, 0.0, CHIP_FONT, "</text><script>\u{0}\"&");
        let svg = canvas.finish(1.0, 1.0, "<b>");
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt; &quot;&amp;"), "{svg}");
        assert!(!svg.contains("<script>") && !svg.contains("<b>"));
    }

    #[test]
    fn long_texts_end_in_an_ellipsis_within_their_width() {
        let cut = fit("a very long name of an endpoint", 80.0, CHIP_FONT);
        assert!(cut.ends_with('…') && measure(&cut, CHIP_FONT) <= 80.0, "{cut}");
        assert_eq!(fit("short", 80.0, CHIP_FONT), "short");
    }
}
