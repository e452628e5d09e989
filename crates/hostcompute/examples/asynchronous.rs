//! The same in a program on tokio: many attachments at a time, a stream of what happens, and a timeout that leaves nothing behind.
//! `cargo run --features async --example asynchronous`, as root or in a network namespace of one's own.

use hostcompute::asynchronous::{EndpointAttachment, Host, Network};
use hostcompute::attach::Wish;
use hostcompute::{Error, Notice, Options};

const COUNT: usize = 8;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("threads can be made").block_on(tour())
}

async fn tour() -> Result<(), Error> {
    let host = Host::auto(Options::from_env()).await?;
    let network = Network::create_internal(&host, "asynchronous", "10.77.1.0/24").await?;
    let mut heard = network.subscribe().await?;

    let tasks: Vec<_> = (0..COUNT)
        .map(|number| {
            let network = network.clone();
            let (owner, container) = ("asynchronous".to_owned(), format!("c{number}"));
            let wish = Wish { owner, container, ..Wish::default() };
            tokio::spawn(async move { EndpointAttachment::create_overlay(&network, wish).await })
        })
        .collect();
    let mut attached = Vec::new();
    for task in tasks {
        attached.push(task.await.expect("no panic")?);
    }
    let mut seen = 0;
    while seen < COUNT {
        match heard.next().await.expect("it goes on")? {
            Notice::Event(event) if event.name == "NetworkEndpointAttached" => seen += 1,
            Notice::Event(_) => {}
            Notice::Missed(count) => panic!("{count} were missed"),
        }
    }
    for one in attached {
        println!("{}", one.ip().await?);
        one.teardown().await?;
    }

    // A call that is given up is carried out to its end, and what it made is taken back.
    let wish =
        Wish { owner: "asynchronous".into(), container: "given up".into(), ..Wish::default() };
    let on = network.clone();
    let task = tokio::spawn(async move { EndpointAttachment::create_overlay(&on, wish).await });
    tokio::task::yield_now().await;
    task.abort();
    let _ = task.await;
    while !EndpointAttachment::list_owned(&host, "asynchronous").await?.is_empty() {
        tokio::task::yield_now().await;
    }

    drop(heard);
    network.delete().await?;
    drop(network);
    host.close().await?;
    println!("asynchronous: ok");
    Ok(())
}
