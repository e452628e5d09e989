//! A trace as a picture: a card for each place, from top to bottom; where a load balancer may choose, one column for each path.
//!
//! ```text
//!   ┌ who asks ───────────────┐
//!   ├ namespace ┤  ├ port ┤ …      shared places
//!        ├── path 1 ──┐ ├── path 2 ──┐
//!        │ arrival    │ │ STOPPED    │
//! ```

use hostcompute::schema::service::{Trace, TraceHop, TraceObstacle, TracePath};

use super::text::place_name;
use super::{protocol, said, shared};
use crate::topology::canvas::{Area, Canvas, Font, Style, measure};

const MARGIN: f32 = 28.0;
const CARD_WIDTH: f32 = 430.0;
const GAP: f32 = 26.0;
const CARD_HEIGHT: f32 = 58.0;
const STEP: f32 = 22.0;
/// Paths that are drawn; of more, the rest is counted.
const MOST_PATHS: usize = 4;

const INK: &str = "#1b2430";
const SOFT: &str = "#5b6676";
const LINE: &str = "#9aa7b8";
const GOOD: &str = "#1e7d45";
const BAD: &str = "#b3261e";
const TITLE: Font = Font { size: 17.0, color: INK, style: Style::Bold };
const NAME: Font = Font { size: 12.5, color: INK, style: Style::Bold };
const WHAT: Font = Font { size: 11.5, color: INK, style: Style::Regular };
const ADDRESS: Font = Font { size: 11.0, color: SOFT, style: Style::Mono };
const NOTE: Font = Font { size: 11.5, color: SOFT, style: Style::Regular };

/// The SVG document.
pub fn draw(trace: &Trace) -> String {
    let several = trace.paths.len() > 1;
    let shared = if several { shared(trace) } else { 0 };
    let columns = trace.paths.len().clamp(1, MOST_PATHS);
    let heading = format!("{} to {}", said(&trace.from), said(&trace.to));
    let least = measure(&heading, TITLE) + 2.0 * MARGIN;
    let width = (2.0 * MARGIN + columns as f32 * (CARD_WIDTH + GAP) - GAP).max(least);
    let mut canvas = Canvas::default();
    canvas.text(MARGIN, 36.0, TITLE, &heading);
    let left = trace.paths.len().saturating_sub(MOST_PATHS);
    let more = if left > 0 { format!("  ·  and {left} more paths") } else { String::new() };
    let line =
        format!("{} {}  ·  {}{more}", protocol(trace), said(&trace.destination), verdict(trace));
    canvas.text(MARGIN, 56.0, NOTE, &line);
    let mut top = 74.0;
    let middle = width / 2.0 - CARD_WIDTH / 2.0;
    if let Some(first) = trace.paths.first().filter(|_| shared > 0) {
        let hops = first.hops.get(..shared).unwrap_or_default();
        top = stack(&mut canvas, middle, top, hops);
    }
    let fork = (middle + CARD_WIDTH / 2.0, top - STEP);
    let mut bottom = top;
    for (place, path) in trace.paths.iter().take(MOST_PATHS).enumerate() {
        let x = MARGIN + place as f32 * (CARD_WIDTH + GAP);
        if shared > 0 {
            let into = x + CARD_WIDTH / 2.0;
            let level = top - STEP / 2.0;
            canvas.line(&[fork, (fork.0, level), (into, level), (into, top)], LINE, 2.0);
        }
        bottom = bottom.max(column(&mut canvas, x, top, path, shared));
    }
    canvas.finish(width, bottom + MARGIN - STEP, &heading)
}

fn verdict(trace: &Trace) -> &'static str {
    match trace.reaches {
        Some(true) => "it gets there",
        _ if trace.paths.iter().any(|path| path.reaches == Some(true)) => "it gets there sometimes",
        _ => "it does not get there",
    }
}

/// What is a path's own; returns where the next thing would begin.
fn column(canvas: &mut Canvas, x: f32, top: f32, path: &TracePath, shared: usize) -> f32 {
    let own = path.hops.get(shared..).unwrap_or_default();
    let next = stack(canvas, x, top, own);
    match &path.obstacle {
        Some(obstacle) => {
            if !own.is_empty() {
                arrow(canvas, x, next - STEP, BAD);
            }
            stopped(canvas, x, next, obstacle)
        }
        None => next,
    }
}

/// Cards below one another, with lines between them.
fn stack(canvas: &mut Canvas, x: f32, top: f32, hops: &[TraceHop]) -> f32 {
    let mut y = top;
    for (place, hop) in hops.iter().enumerate() {
        if place > 0 {
            arrow(canvas, x, y - STEP, LINE);
        }
        card(canvas, x, y, hop);
        y += CARD_HEIGHT + STEP;
    }
    y
}

fn arrow(canvas: &mut Canvas, x: f32, from: f32, color: &str) {
    let middle = x + CARD_WIDTH / 2.0;
    canvas.line(&[(middle, from), (middle, from + STEP)], color, 2.0);
    let tip = from + STEP - 1.0;
    canvas.line(&[(middle - 4.0, tip - 5.0), (middle, tip), (middle + 4.0, tip - 5.0)], color, 2.0);
}

fn card(canvas: &mut Canvas, x: f32, y: f32, hop: &TraceHop) {
    let arrival = matches!(hop.place, Some(hostcompute::schema::service::TracePlace::Arrival));
    let (fill, stroke, edge) =
        if arrival { ("#e9f6ee", "#a9d7ba", GOOD) } else { ("#ffffff", "#d5dce6", "#1f5fbf") };
    canvas.panel(Area { x, y, width: CARD_WIDTH, height: CARD_HEIGHT }, 8.0, fill, stroke);
    canvas.panel(Area { x, y, width: 5.0, height: CARD_HEIGHT }, 2.0, edge, "none");
    canvas.text(x + 16.0, y + 19.0, NAME, place_name(hop.place.as_ref()));
    let packet = format!("{} → {}", said(&hop.source), said(&hop.destination));
    let start = x + 146.0;
    canvas.text_within(start, y + 19.0, CARD_WIDTH - 158.0, ADDRESS, &packet);
    canvas.text_within(x + 16.0, y + 42.0, CARD_WIDTH - 28.0, WHAT, said(&hop.what));
}

/// The card of what stops the packet: message, place in the documents, what to do; lines are broken to the card's width.
fn stopped(canvas: &mut Canvas, x: f32, y: f32, obstacle: &TraceObstacle) -> f32 {
    let mut lines: Vec<(Font, String)> = Vec::new();
    let room = CARD_WIDTH - 32.0;
    lines.extend(broken(said(&obstacle.message), room, WHAT).into_iter().map(|line| (WHAT, line)));
    if let Some(object) = &obstacle.object {
        let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
        lines.push((ADDRESS, format!("{object} {id}")));
    }
    if let Some(path) = &obstacle.path {
        lines.push((ADDRESS, path.clone()));
    }
    if let Some(hint) = &obstacle.hint {
        let hint = format!("To do: {hint}");
        lines.extend(broken(&hint, room, NOTE).into_iter().map(|line| (NOTE, line)));
    }
    let height = 34.0 + lines.len() as f32 * 17.0;
    canvas.panel(Area { x, y, width: CARD_WIDTH, height }, 8.0, "#fdecea", "#f0b8b3");
    canvas.panel(Area { x, y, width: 5.0, height }, 2.0, BAD, "none");
    canvas.text(x + 16.0, y + 20.0, Font { color: BAD, ..NAME }, "stopped");
    for (place, (font, line)) in lines.iter().enumerate() {
        canvas.text_within(x + 16.0, y + 40.0 + place as f32 * 17.0, room, *font, line);
    }
    y + height + STEP
}

/// A text in lines that are no wider than `width`.
fn broken(text: &str, width: f32, font: Font) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if measure(&format!("{line} {word}"), font) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
