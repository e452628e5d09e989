//! What the service tells of images, their layers, and long work on them. No published schema has these types.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::guid::Guid;

documents! { @compute
    /// An image of the store.
    pub struct Image("Image") {
        /// The digest of its configuration: what most tools call the image's id.
        id: Option<String> = "Id" [],
        /// The digest of its manifest: what a registry calls it.
        manifest: Option<String> = "Manifest" [],
        /// Its names, sorted; there may be none.
        names: Option<Vec<String>> = "Names" [],
        /// What it runs on.
        platform: Option<ImagePlatform> = "Platform" [],
        /// When it was made, as it says itself.
        created: Option<String> = "Created" [],
        /// Bytes of its layers as they travel, compressed or not.
        size: Option<u64> = "Size" [],
        /// Bytes of its layers' files.
        unpacked: Option<u64> = "Unpacked" [],
        /// Its layers, the topmost first: the order of a container's document.
        layers: Option<Vec<ImageLayer>> = "Layers" [],
        /// What it wants to be run with.
        execution: Option<ImageExecution> = "Execution" [],
    }

    /// What an image runs on, in the words of its own documents.
    pub struct ImagePlatform("ImagePlatform") {
        /// The operating system, such as `linux`.
        os: Option<String> = "os" [],
        /// The processor, such as `amd64`.
        architecture: Option<String> = "architecture" [],
        /// The version of the processor, such as `v7`.
        variant: Option<String> = "variant" [],
    }

    /// One layer of an image.
    pub struct ImageLayer("ImageLayer") {
        /// The digest of its blob, as it travels.
        digest: Option<String> = "Digest" [],
        /// The digest of its tar stream.
        diff_id: Option<String> = "DiffId" [],
        /// Bytes of its blob.
        size: Option<u64> = "Size" [],
        /// The directory that a container's document names.
        path: Option<String> = "Path" [],
    }

    /// What an image wants to be run with.
    pub struct ImageExecution("ImageExecution") {
        /// The beginning of the command; what a caller types replaces `Cmd`, not this.
        entrypoint: Option<Vec<String>> = "Entrypoint" [],
        /// The rest of the command, or all of it.
        cmd: Option<Vec<String>> = "Cmd" [],
        /// `NAME=value`.
        env: Option<Vec<String>> = "Env" [],
        /// Name or number, a group may follow behind a colon; empty is root.
        user: Option<String> = "User" [],
        /// Empty is `/`.
        working_dir: Option<String> = "WorkingDir" [],
        /// Name or number of the signal that asks it to end; none is SIGTERM.
        stop_signal: Option<String> = "StopSignal" [],
        /// `port/protocol`.
        exposed_ports: Option<Vec<String>> = "ExposedPorts" [],
        /// Directories whose content should outlive the container.
        volumes: Option<Vec<String>> = "Volumes" [],
        /// Words about the image.
        labels: Option<BTreeMap<String, String>> = "Labels" [],
    }

    /// An image that was imported.
    pub struct ImportedImage("ImportedImage") {
        /// The name that it got.
        name: Option<String> = "Name" [],
        /// The image.
        image: Option<Image> = "Image" [],
    }

    /// An image that has lost a name.
    pub struct RemovedImage("RemovedImage") {
        /// The image as it was.
        image: Option<Image> = "Image" [],
        /// Whether it is listed no longer.
        gone: Option<bool> = "Gone" [],
    }

    /// What was removed because no image names it.
    pub struct PrunedImages("PrunedImages") {
        /// Trees of layers.
        layers: Option<u64> = "Layers" [],
        /// What they held.
        layer_bytes: Option<u64> = "LayerBytes" [],
        /// Blobs: layers as they travel, documents.
        blobs: Option<u64> = "Blobs" [],
        /// What they held.
        blob_bytes: Option<u64> = "BlobBytes" [],
        /// Trees that no image names and a system uses.
        in_use: Option<u64> = "InUse" [],
    }

    /// A layer of the store.
    pub struct StoredLayer("StoredLayer") {
        /// Its id: the name-GUID of its directory's name.
        id: Option<Guid> = "Id" [],
        /// Its directory.
        path: Option<String> = "Path" [],
        /// Bytes of its files.
        bytes: Option<u64> = "Bytes" [],
        /// Files, directories and links.
        entries: Option<u64> = "Entries" [],
        /// The names, or ids, of the images that have it.
        images: Option<Vec<String>> = "Images" [],
        /// Whether a system uses it.
        is_in_use: Option<bool> = "IsInUse" [],
    }

    /// How a registry is reached.
    pub struct RegistryAccess("RegistryAccess") {
        /// The name for a registry that asks for one.
        user: Option<String> = "User" [],
        /// The password.
        password: Option<String> = "Password" [],
        /// Plain HTTP also to other machines than this one.
        plain_http: Option<bool> = "PlainHttp" [],
        /// Certificates (PEM) to trust beside those of the service's machine.
        certificates: Option<String> = "Certificates" [],
    }

    /// One line of what is told while images or layers are worked on; exactly one member is given.
    pub struct WorkLine("WorkLine") {
        /// A piece of work begins.
        begun: Option<WorkBegun> = "Begun" [],
        /// So many bytes more of that piece are done.
        advanced: Option<u64> = "Advanced" [],
        /// That piece is done.
        ended: Option<bool> = "Ended" [],
        /// This was there already.
        present: Option<String> = "Present" [],
        /// Something that could not be kept.
        note: Option<String> = "Note" [],
        /// The end of what went well: the answer, null where there is none.
        result: Option<Value> = "Result" [],
        /// The end of what did not: a problem document.
        problem: Option<Value> = "Problem" [],
    }

    /// A piece of long work.
    pub struct WorkBegun("WorkBegun") {
        /// What is done.
        what: Option<String> = "What" [],
        /// Its size in bytes, where that is known.
        total: Option<u64> = "Total" [],
    }
}
