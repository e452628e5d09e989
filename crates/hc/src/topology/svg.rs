//! The topology as a picture: the host on top, one panel per network, a card per endpoint, rails from load balancers to backends.
//!
//! ```text
//!   ┌ host: published ports ────────────────┐
//!   └─┬─────────────────────────────────────┘
//!     │ ┌ network ────────────────────────┐
//!     ├─┤ load balancers  ┌──┐ ┌──┐       │
//!     │ │   ──rails──┬──────┐             │
//!     │ │ ┌ endpoint ┐  ┌ endpoint ┐      │
//!     │ └─────────────────────────────────┘
//! ```
//!
//! Rails run in lanes of their own above the cards and in the gutters between columns, so they never cross a card. Beyond
//! [`LANES`] load balancers in a network the cards carry only their names. The picture depends on nothing but the topology: the same
//! documents give the same bytes.

use super::canvas::{Area, CHIP_HEIGHT, Canvas, Font, Style, chip_width, measure};
use super::model::{Balancer, Endpoint, Network, Topology};

const MARGIN: f32 = 28.0;
/// Left edge of the panels; the trunk from the host runs in the space before it.
const PANEL_LEFT: f32 = 64.0;
const PADDING: f32 = 18.0;
const CARD_WIDTH: f32 = 232.0;
/// Space before each column of cards, where rails run.
const GUTTER: f32 = 40.0;
const ROW_GAP: f32 = 16.0;
const HEADER: f32 = 46.0;
const BALANCER_HEIGHT: f32 = 58.0;
/// Load balancers of one network that get rails.
const LANES: usize = 5;
const LANE: f32 = 6.0;
const MOST_COLUMNS: usize = 6;
const NARROWEST: f32 = 620.0;

const INK: &str = "#1b2430";
const SOFT: &str = "#5b6676";
const NAME: Font = Font { size: 13.0, color: INK, style: Style::Bold };
const ADDRESS: Font = Font { size: 11.5, color: INK, style: Style::Mono };
const NOTE: Font = Font { size: 11.0, color: SOFT, style: Style::Regular };
const ABSENT: Font = Font { size: 11.0, color: "#98a2b0", style: Style::Italic };
/// Load balancers, in turn.
const COLORS: [&str; 5] = ["#c2571a", "#7a3fb8", "#0f7f86", "#b3246b", "#5c7a10"];

/// The SVG document.
pub fn draw(topology: &Topology) -> String {
    let columns = topology.networks.iter().map(columns).max().unwrap_or(1);
    let inner = columns as f32 * (CARD_WIDTH + GUTTER) + 2.0 * PADDING;
    let width = (PANEL_LEFT + inner + MARGIN).max(NARROWEST);
    let panel_width = width - PANEL_LEFT - MARGIN;
    let mut canvas = Canvas::default();
    let mut y = title(&mut canvas, topology);
    let host_bottom = host(
        &mut canvas,
        topology,
        Area { x: MARGIN, y, width: width - 2.0 * MARGIN, height: 0.0 },
    );
    y = host_bottom + 22.0;
    let mut trunk_end = None;
    for network in &topology.networks {
        let look = Look::of(&network.kind);
        let area = Area { x: PANEL_LEFT, y, width: panel_width, height: 0.0 };
        let bottom = panel(&mut canvas, topology, network, &look, area);
        if look.reaches_host {
            let level = y + HEADER / 2.0;
            canvas.line(&[(MARGIN + 14.0, level), (PANEL_LEFT, level)], "#9aa7b8", 2.0);
            canvas.dot(PANEL_LEFT, level, 4.0, look.strong);
            trunk_end = Some(level);
        }
        y = bottom + 20.0;
    }
    if let Some(end) = trunk_end {
        canvas.line(&[(MARGIN + 14.0, host_bottom), (MARGIN + 14.0, end)], "#9aa7b8", 2.0);
    }
    y = idle(&mut canvas, topology, y, width - MARGIN);
    canvas.finish(width, y + 8.0, "Networks, endpoints and load balancers of this host")
}

/// Colours and place of a network type.
struct Look {
    tint: &'static str,
    strong: &'static str,
    note: &'static str,
    reaches_host: bool,
}

impl Look {
    fn of(kind: &str) -> Self {
        match kind {
            "Private" => {
                Self { tint: "#f3edfb", strong: "#6b3fa0", note: "isolated", reaches_host: false }
            }
            "Internal" => {
                Self { tint: "#e9f6ee", strong: "#1e7d45", note: "host only", reaches_host: true }
            }
            _ => Self {
                tint: "#e8f1fd",
                strong: "#1f5fbf",
                note: "host and outside",
                reaches_host: true,
            },
        }
    }
}

/// Columns of the cards of one network.
fn columns(network: &Network) -> usize {
    match network.endpoints.len() {
        0 => 1,
        few @ 1..=4 => few,
        5..=6 => 3,
        many => (many as f32).sqrt().ceil().min(MOST_COLUMNS as f32) as usize,
    }
}

fn title(canvas: &mut Canvas, topology: &Topology) -> f32 {
    let endpoints: usize = topology.networks.iter().map(|network| network.endpoints.len()).sum();
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    canvas.text(MARGIN, 38.0, Font { size: 19.0, color: INK, style: Style::Bold }, "Topology");
    let line = [
        count(topology.networks.len(), "network"),
        count(endpoints, "endpoint"),
        count(topology.balancers.len(), "load balancer"),
    ]
    .join("  ·  ");
    canvas.text(
        MARGIN + 112.0,
        38.0,
        Font { size: 12.5, color: SOFT, style: Style::Regular },
        &line,
    );
    56.0
}

/// The host with the ports it publishes; returns the lower edge.
fn host(canvas: &mut Canvas, topology: &Topology, mut area: Area) -> f32 {
    let endpoints = || topology.networks.iter().flat_map(|network| &network.endpoints);
    let chips: Vec<String> = endpoints()
        .flat_map(|endpoint| endpoint.ports.iter().map(move |port| published(port, &endpoint.name)))
        .collect();
    let left = area.x + 76.0;
    let shown = chip_rows(&chips, area.width - 76.0 - PADDING, 3);
    area.height = 36.0 + (shown.len().max(1) as f32 - 1.0) * (CHIP_HEIGHT + 6.0);
    canvas.panel(area, 10.0, "#eef1f6", "#cfd7e2");
    canvas.text(area.x + PADDING, area.y + 23.0, NAME, "Host");
    if chips.is_empty() {
        canvas.text(left, area.y + 22.5, ABSENT, "no published ports");
    }
    for (row, chips) in shown.iter().enumerate() {
        let mut x = left;
        for chip in chips {
            let y = area.y + 9.0 + row as f32 * (CHIP_HEIGHT + 6.0);
            x += canvas.chip(x, y, chip, "#ffffff", INK) + 6.0;
        }
    }
    area.y + area.height
}

/// "tcp 8080 → 80" of endpoint front reads "tcp 8080 → front:80" on the host.
fn published(port: &str, endpoint: &str) -> String {
    match port.rsplit_once("→ ") {
        Some((external, internal)) => format!("{external}→ {endpoint}:{internal}"),
        None => port.to_owned(),
    }
}

/// Chips in rows of a width; what does not fit becomes "+ n more".
fn chip_rows(chips: &[String], width: f32, most: usize) -> Vec<Vec<String>> {
    let more = |left: usize| format!("+ {left} more");
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut used = width;
    for (place, chip) in chips.iter().enumerate() {
        let left = chips.len() - place;
        let last_row = rows.len() == most;
        // The last row keeps room for the remark, unless this is the last chip.
        let reserve = if last_row && left > 1 { chip_width(&more(left)) + 6.0 } else { 0.0 };
        let need = chip_width(chip) + 6.0;
        if used + need + reserve > width {
            if last_row {
                if let Some(row) = rows.last_mut() {
                    row.push(more(left));
                }
                return rows;
            }
            rows.push(Vec::new());
            used = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push(chip.clone());
        }
        used += need;
    }
    rows
}

/// The panel of a network; returns its lower edge.
fn panel(
    canvas: &mut Canvas,
    topology: &Topology,
    network: &Network,
    look: &Look,
    mut area: Area,
) -> f32 {
    let balancers = balancers_of(topology, network);
    let columns = columns(network);
    let balancer_rows = balancers.len().div_ceil(columns);
    let lanes = balancers.len().min(LANES);
    let balancers_height = balancer_rows as f32 * (BALANCER_HEIGHT + 12.0);
    let rails_height = if lanes > 0 { lanes as f32 * LANE + 18.0 } else { 0.0 };
    let labels: Vec<Vec<String>> =
        network.endpoints.iter().map(|endpoint| labels(topology, endpoint, &balancers)).collect();
    let heights: Vec<f32> = network.endpoints.iter().zip(&labels).map(height).collect();
    let cards_top = area.y + HEADER + 14.0 + balancers_height + rails_height;
    let grid = Grid::new(area.x + PADDING, cards_top, columns, &heights);
    let bottom = grid.bottom.max(cards_top + 18.0) + PADDING;
    area.height = bottom - area.y;
    canvas.panel(area, 12.0, "#ffffff", "#d5dce6");
    header(canvas, network, look, area);
    if network.endpoints.is_empty() {
        canvas.text(area.x + PADDING, cards_top + 12.0, ABSENT, "no endpoints");
    }
    let rails = Rails { top: area.y + HEADER + 14.0, bus: cards_top - rails_height + 6.0 };
    for (place, (endpoint, labels)) in network.endpoints.iter().zip(&labels).enumerate() {
        card(canvas, endpoint, labels, grid.card(place));
    }
    for (lane, place) in balancers.iter().enumerate() {
        if lane < LANES {
            rail(canvas, network, &grid, &rails, lane, *place);
        }
        if let Some(balancer) = topology.balancers.get(*place) {
            balancer_card(canvas, balancer, color(*place), rails.card(&grid, lane));
        }
    }
    bottom
}

/// Where the cards of a network lie.
struct Grid {
    left: f32,
    columns: usize,
    /// Upper edge and height of each row.
    rows: Vec<(f32, f32)>,
    bottom: f32,
}

impl Grid {
    /// Each row is as high as its highest card.
    fn new(left: f32, top: f32, columns: usize, heights: &[f32]) -> Self {
        let mut rows = Vec::new();
        let mut next = top;
        for row in heights.chunks(columns) {
            let height = row.iter().copied().fold(0.0, f32::max);
            rows.push((next, height));
            next += height + ROW_GAP;
        }
        Self { left, columns, rows, bottom: next - ROW_GAP }
    }

    fn column_left(&self, column: usize) -> f32 {
        self.left + column as f32 * (CARD_WIDTH + GUTTER) + GUTTER / 2.0
    }

    fn card(&self, place: usize) -> Area {
        let (y, height) = self.rows.get(place / self.columns).copied().unwrap_or_default();
        Area { x: self.column_left(place % self.columns), y, width: CARD_WIDTH, height }
    }
}

/// Where the load balancers of a network and their rails lie.
struct Rails {
    top: f32,
    bus: f32,
}

impl Rails {
    fn card(&self, grid: &Grid, lane: usize) -> Area {
        let (row, column) = (lane / grid.columns, lane % grid.columns);
        let y = self.top + row as f32 * (BALANCER_HEIGHT + 12.0);
        Area { x: grid.column_left(column), y, width: CARD_WIDTH, height: BALANCER_HEIGHT }
    }
}

/// Places of the load balancers that have a backend in this network.
fn balancers_of(topology: &Topology, network: &Network) -> Vec<usize> {
    let used = |place: &usize| network.endpoints.iter().any(|e| e.balancers.contains(place));
    (0..topology.balancers.len()).filter(used).collect()
}

fn color(balancer: usize) -> &'static str {
    COLORS[balancer % COLORS.len()]
}

/// One load balancer's lines: down to its lane, along it, down the gutters, into its backends.
fn rail(
    canvas: &mut Canvas,
    network: &Network,
    grid: &Grid,
    rails: &Rails,
    lane: usize,
    balancer: usize,
) {
    let color = color(balancer);
    let offset = lane as f32 * LANE;
    let bus = rails.bus + offset;
    let gutter = |column: usize| grid.column_left(column) - 8.0 - offset;
    let card = rails.card(grid, lane);
    let start = card.x + 22.0 + offset;
    let mut lowest: Vec<Option<f32>> = vec![None; grid.columns];
    for (place, endpoint) in network.endpoints.iter().enumerate() {
        if !endpoint.balancers.contains(&balancer) {
            continue;
        }
        let (column, area) = (place % grid.columns, grid.card(place));
        let level = area.y + 17.0 + offset;
        canvas.line(&[(gutter(column), level), (area.x, level)], color, 1.6);
        canvas.dot(area.x, level, 3.2, color);
        if let Some(low) = lowest.get_mut(column) {
            *low = Some(level);
        }
    }
    let ends = || {
        lowest.iter().enumerate().filter(|(_, low)| low.is_some()).map(|(column, _)| gutter(column))
    };
    let from = ends().fold(start, f32::min);
    let to = ends().fold(start, f32::max);
    canvas.line(&[(start, card.y + card.height), (start, bus)], color, 1.6);
    canvas.line(&[(from, bus), (to, bus)], color, 1.6);
    for (column, low) in lowest.iter().enumerate() {
        if let Some(low) = low {
            canvas.line(&[(gutter(column), bus), (gutter(column), *low)], color, 1.6);
        }
    }
}

fn header(canvas: &mut Canvas, network: &Network, look: &Look, area: Area) {
    let band = Area { height: HEADER, ..area };
    canvas.panel(band, 12.0, look.tint, "#d5dce6");
    // The band's lower corners are square: it ends where the panel goes on.
    let foot =
        Area { x: area.x + 0.5, y: area.y + HEADER - 12.0, width: area.width - 1.0, height: 12.5 };
    canvas.panel(foot, 0.0, look.tint, "none");
    let name = Font { size: 14.5, color: look.strong, style: Style::Bold };
    canvas.text_within(area.x + PADDING, area.y + 20.0, area.width * 0.6, name, &network.name);
    let kind = format!("{} · {}", network.kind, look.note);
    let chip = chip_width(&kind);
    canvas.chip(area.x + area.width - chip - PADDING, area.y + 7.0, &kind, "#ffffff", look.strong);
    let subnets = network.subnets.join("   ");
    let line = if network.gateways.is_empty() {
        subnets
    } else {
        format!("{subnets}   gateway {}", network.gateways.join("  "))
    };
    let font = Font { color: SOFT, size: 11.0, ..ADDRESS };
    canvas.text_within(area.x + PADDING, area.y + 37.0, area.width - 2.0 * PADDING, font, &line);
}

fn balancer_card(canvas: &mut Canvas, balancer: &Balancer, color: &'static str, area: Area) {
    canvas.panel(area, 8.0, "#fffdf8", color);
    canvas.text_within(
        area.x + 12.0,
        area.y + 19.0,
        CARD_WIDTH - 24.0,
        Font { color, ..NAME },
        &balancer.name,
    );
    let (first, more) = match balancer.frontends.as_slice() {
        [] => ("no ports".to_owned(), String::new()),
        [only] => (only.clone(), String::new()),
        [first, _] => (first.clone(), "+ 1 more frontend  ·  ".to_owned()),
        [first, rest @ ..] => (first.clone(), format!("+ {} more frontends  ·  ", rest.len())),
    };
    let address = Font { size: 11.0, ..ADDRESS };
    canvas.text_within(area.x + 12.0, area.y + 35.0, CARD_WIDTH - 24.0, address, &first);
    let backends = match balancer.backends.len() {
        1 => "1 backend".to_owned(),
        many => format!("{many} backends"),
    };
    canvas.text(area.x + 12.0, area.y + 50.0, NOTE, &format!("{more}{backends}"));
}

/// Rows of chips on a card.
const CHIP_ROWS: usize = 3;

/// The chips of an endpoint's card; load balancers without a rail are among them.
fn labels(topology: &Topology, endpoint: &Endpoint, balancers: &[usize]) -> Vec<String> {
    let without_rail =
        balancers.iter().skip(LANES).filter(|place| endpoint.balancers.contains(place));
    let names = without_rail
        .filter_map(|place| topology.balancers.get(*place))
        .map(|b| format!("⇢ {}", b.name));
    endpoint.ports.iter().chain(&endpoint.policies).cloned().chain(names).collect()
}

/// The height that a card needs.
fn height((endpoint, labels): (&Endpoint, &Vec<String>)) -> f32 {
    let rows = chip_rows(labels, CARD_WIDTH - 24.0, CHIP_ROWS).len();
    48.0 + endpoint.addresses.len().max(1) as f32 * 15.0 + rows as f32 * (CHIP_HEIGHT + 5.0)
}

fn card(canvas: &mut Canvas, endpoint: &Endpoint, labels: &[String], area: Area) {
    canvas.panel(area, 8.0, "#f7f9fc", "#d9e0ea");
    let inside = CARD_WIDTH - 24.0;
    let x = area.x + 12.0;
    canvas.text_within(x, area.y + 20.0, inside - 16.0, NAME, &endpoint.name);
    let state = if endpoint.namespace.is_some() { "#2c9a5b" } else { "#c3cad4" };
    canvas.dot(area.x + CARD_WIDTH - 15.0, area.y + 15.5, 4.5, state);
    let mut y = area.y + 22.0;
    for address in &endpoint.addresses {
        y += 15.0;
        canvas.text_within(x, y, inside, ADDRESS, address);
    }
    y += 16.0;
    match &endpoint.namespace {
        Some(namespace) => {
            canvas.text_within(x, y, inside, NOTE, &format!("in namespace {namespace}"))
        }
        None => canvas.text(x, y, ABSENT, "not attached"),
    }
    y += 7.0;
    for row in chip_rows(labels, inside, CHIP_ROWS) {
        let mut left = x;
        for chip in &row {
            left += canvas.chip(left, y, chip, "#e6ebf3", INK) + 5.0;
        }
        y += CHIP_HEIGHT + 5.0;
    }
}

/// Namespaces that hold nothing; returns the lower edge.
fn idle(canvas: &mut Canvas, topology: &Topology, y: f32, width: f32) -> f32 {
    if topology.networks.is_empty() {
        canvas.text(
            MARGIN + 14.0,
            y + 8.0,
            ABSENT,
            "No networks yet: hc network create, or hc up FILE.",
        );
        return y + 24.0;
    }
    if topology.idle.is_empty() {
        return y;
    }
    let heading = "Namespaces without endpoints:";
    canvas.text(PANEL_LEFT, y + 12.8, NOTE, heading);
    let left = PANEL_LEFT + measure(heading, NOTE) + 10.0;
    for row in chip_rows(&topology.idle, width - left, 1) {
        let mut x = left;
        for chip in &row {
            x += canvas.chip(x, y, chip, "#e6ebf3", INK) + 6.0;
        }
    }
    y + CHIP_HEIGHT + 14.0
}
