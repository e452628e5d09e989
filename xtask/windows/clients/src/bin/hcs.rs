//! zlayer-hcs at work: a container created, heard of, started, asked, used and terminated.

use std::time::Duration;

use serde_json::json;
use zlayer_hcs::enumerate::list_by_owner;
use zlayer_hcs::process::ComputeProcess;
use zlayer_hcs::system::ComputeSystem;

const OWNER: &str = "wine-test";

/// GENERIC_ALL.
const ALL: u32 = 0x1000_0000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let id = "wine-test-hcs";
    let document = json!({
        "Owner": OWNER, "SchemaVersion": { "Major": 2, "Minor": 1 },
        "ShouldTerminateOnLastHandleClosed": true,
        "Container": { "Storage": { "Layers": [{ "Id": "11111111-1111-1111-1111-111111111111", "Path": "/" }] } },
    });
    let system = ComputeSystem::create(id, &document.to_string()).await.expect("created");
    system.start("").await.expect("started");
    let listed = list_by_owner(OWNER).await.expect("systems");
    assert!(listed.iter().any(|listed| listed.id == id), "{listed:?}");
    let properties = system.properties("").await.expect("its document");
    assert!(properties.contains(id), "{properties}");
    let statistics = system.read_statistics().await.expect("its numbers");
    println!("statistics: {statistics:?}");

    let parameters = json!({ "CommandArgs": ["sleep", "1000"] }).to_string();
    let process = ComputeProcess::create(system.raw(), &parameters).await.expect("a process");
    let told = process.properties("").await.expect("its document");
    assert!(told.contains("\"Exited\":false"), "{told}");
    process.terminate("").await.expect("ended");
    drop(process);

    let again = ComputeSystem::open(id, ALL).expect("opened");
    again.terminate("").await.expect("terminated");
    drop((again, system));
    // It is gone for others once its end has been told.
    let gone = async {
        while list_by_owner(OWNER).await.expect("systems").iter().any(|listed| listed.id == id) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("gone");
    assert!(ComputeSystem::open(id, ALL).is_err());
    println!("hcs: done");
}
