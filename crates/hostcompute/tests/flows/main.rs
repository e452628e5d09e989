//! What programs written for HCN do, from beginning to end: the documents they send, in the order they send them, on the real kernel,
//! with packets that prove each step.
//!
//! One file for each consumer, which says where the flow is from (hcn.md 5). The consumers are models in our own words, as small as
//! their calls allow; what they share is in `shim` (how programs in Go speak, through hcsshim) and `world` (hosts on one wire, each with
//! a service of its own).
#![cfg(all(socket, embedded))]
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

#[path = "../../../hc/tests/sandbox/daemon.rs"]
mod daemon;
#[path = "../../../hostcompute-linux/tests/lab/mod.rs"]
mod lab;

mod azure;
mod calico;
mod cluster;
mod containerd;
mod containernetworking;
mod docker;
mod docker_overlay;
mod flannel;
mod hcsshim;
mod hns;
mod host_gateway;
mod kube_proxy;
mod kubernetes;
mod older;
mod restart;
mod shim;
mod suite;
mod trial;
mod virtual_machines;
mod windows_container_networking;
mod world;
mod wsl;
mod zlayer;
