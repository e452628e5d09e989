//! Through everything that the crate offers for networks, in one go: `cargo run --example tour`, as root or in a network namespace of one's
//! own. It asks the service of this machine when there is one, and carries its own otherwise; whatever it makes it takes away again.

#[cfg(embedded)]
mod stations;

#[cfg(embedded)]
fn main() -> stations::Done {
    stations::visit()
}

#[cfg(not(embedded))]
fn main() {
    eprintln!("the tour enters network namespaces: it is one for Linux");
}
