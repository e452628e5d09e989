//! What can be asked of the compute service: the functions of computecore.dll and computestorage.dll,
//! one table, beside that of the network service.
//!
//! The routes of the HTTP interface, the rights and the OpenAPI document derive from it. A request is
//! answered when the operation has ended; what Windows has operation objects for is the caller's own
//! business. Functions without a route concern handles, operations or memory of the calling process,
//! or are refused there.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::document::Document;
use crate::hcs::*;
use crate::operation::{Method, Right, UnknownOperation};
use crate::schema::{self, SchemaVersion, StructSchema};
use crate::service::Parameter;

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Subject {
    System,
    Process,
    /// The service itself, and the host.
    Service,
    /// The state of a virtual machine, kept in files.
    Machine,
    /// An image of the store.
    Image,
    /// A layer of a file system.
    Layer,
    /// An operation object of the calling process.
    Operation,
}

/// The document that goes in.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Nothing.
    None,
    /// A query in the query string, which may be left out.
    Query(&'static StructSchema),
    /// A document that must be there.
    Document(&'static StructSchema),
    /// A document that may be left out.
    Options(&'static StructSchema),
    /// An archive, compressed or not, unless a parameter says where it is.
    Archive,
    /// Nothing but what the function's own arguments say.
    Arguments,
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// Nothing.
    None,
    /// Nothing but `Location`: the place of what was made.
    Place,
    /// A document, and `Location`: the place of what was made.
    Made(&'static StructSchema),
    /// A document.
    Document(&'static StructSchema),
    /// A list of documents.
    Documents(&'static StructSchema),
    /// Documents, as things happen.
    Events(&'static StructSchema),
    /// The streams of a process: the connection is upgraded, and brings descriptors.
    Streams,
    /// What processes wrote.
    Log,
    /// An archive.
    Archive,
    /// Long work: its answer at the end, or, where the caller accepts `application/x-ndjson`, lines of
    /// [`WorkLine`].
    Work(Done),
    /// Something that only the calling process can use.
    Local,
}

/// What long work ends with.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// Nothing to say.
    Nothing,
    /// A document.
    Document(&'static StructSchema),
    /// A list of documents.
    Documents(&'static StructSchema),
}

macro_rules! compute_operations {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident $(= $symbol:literal)?: $subject:ident, $right:ident,
            $($method:ident $path:literal)?, $input:expr => $output:expr,
            [$($since:literal)?] $(, [$($parameter:ident),*])?;
    )*) => {
        /// One function of the compute service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ComputeOperation {
            $($(#[doc = $doc])* $name,)*
        }

        impl ComputeOperation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [ComputeOperation] = &[$(ComputeOperation::$name),*];

            fn row(self) -> &'static Row {
                match self {
                    $(ComputeOperation::$name => {
                        static ROW: Row = Row {
                            name: stringify!($name),
                            symbol: only(&[$($symbol)?]),
                            subject: Subject::$subject,
                            right: Right::$right,
                            route: only(&[$((Method::$method, $path))?]),
                            input: { use Input::*; $input },
                            output: { use Output::*; $output },
                            parameters: &[$($(&$parameter),*)?],
                            since: $crate::enumeration::since(&[$($since)?]),
                            doc: concat!($($doc),*),
                        };
                        &ROW
                    })*
                }
            }
        }
    };
}

struct Row {
    name: &'static str,
    symbol: Option<&'static str>,
    subject: Subject,
    right: Right,
    route: Option<(Method, &'static str)>,
    input: Input,
    output: Output,
    parameters: &'static [&'static Parameter],
    since: Option<SchemaVersion>,
    doc: &'static str,
}

const fn only<T: Copy>(given: &[T]) -> Option<T> {
    match given {
        [one] => Some(*one),
        _ => None,
    }
}

compute_operations! {
    /// Lists the compute systems that match a query.
    EnumerateComputeSystems = "HcsEnumerateComputeSystems": System, Read, Get "/systems",
        Query(SystemQuery::SCHEMA) => Documents(Properties::SCHEMA), ["2.1"], [ENDED];
    /// Makes a compute system, and opens it for the session.
    CreateComputeSystem = "HcsCreateComputeSystem": System, Manage, Post "/systems",
        Document(ComputeSystem::SCHEMA) => Place, ["2.1"],
        [
            ID, RUNTIME, USERS, GROUPS, CAPABILITIES, UNFILTERED, READ_ONLY,
            ENDS_WITH_FIRST_PROCESS, STOP_SIGNAL, ENDPOINT
        ];
    /// Opens a compute system for the session: fails when it does not exist.
    OpenComputeSystem = "HcsOpenComputeSystem": System, Read, Post "/systems/{id}/handle",
        None => None, ["2.1"];
    /// Gives back a handle of a compute system; with its last one the system may end.
    CloseComputeSystem = "HcsCloseComputeSystem": System, Read, Delete "/systems/{id}/handle",
        None => None, ["2.1"];
    /// Starts a compute system.
    StartComputeSystem = "HcsStartComputeSystem": System, Manage, Post "/systems/{id}/start",
        Options(StartOptions::SCHEMA) => None, ["2.1"];
    /// Asks a compute system to end by itself.
    ShutDownComputeSystem = "HcsShutDownComputeSystem": System, Manage,
        Post "/systems/{id}/shutdown", Options(ShutdownOptions::SCHEMA) => None, ["2.1"];
    /// Ends a compute system at once.
    TerminateComputeSystem = "HcsTerminateComputeSystem": System, Manage,
        Post "/systems/{id}/terminate", None => None, ["2.1"];
    /// Makes the guest of a compute system crash.
    CrashComputeSystem = "HcsCrashComputeSystem": System, Manage, Post "/systems/{id}/crash",
        Options(CrashOptions::SCHEMA) => None, ["2.3"];
    /// Stops everything in a compute system where it is.
    PauseComputeSystem = "HcsPauseComputeSystem": System, Manage, Post "/systems/{id}/pause",
        Options(PauseOptions::SCHEMA) => None, ["2.1"];
    /// Lets everything in a paused compute system go on.
    ResumeComputeSystem = "HcsResumeComputeSystem": System, Manage, Post "/systems/{id}/resume",
        None => None, ["2.1"];
    /// Saves a paused compute system.
    SaveComputeSystem = "HcsSaveComputeSystem": System, Manage, Post "/systems/{id}/save",
        Options(SaveOptions::SCHEMA) => None, ["2.1"];
    /// Tells about a compute system.
    GetComputeSystemProperties = "HcsGetComputeSystemProperties": System, Read,
        Get "/systems/{id}", Query(SystemPropertyQuery::SCHEMA) => Document(Properties::SCHEMA),
        ["2.1"];
    /// Changes a compute system.
    ModifyComputeSystem = "HcsModifyComputeSystem": System, Manage, Patch "/systems/{id}",
        Document(ModifySettingRequest::SCHEMA) => None, ["2.1"];
    /// Sends what happens to a compute system; the end of the system is the last.
    SetComputeSystemCallback = "HcsSetComputeSystemCallback": System, Read,
        Get "/systems/{id}/events", None => Events(ComputeEvent::SCHEMA), ["2.1"];
    /// Waits until a compute system has ended.
    WaitForComputeSystemExit = "HcsWaitForComputeSystemExit": System, Read,
        Get "/systems/{id}/exit", None => Document(SystemExitStatus::SCHEMA), ["2.4"], [TIMEOUT];
    /// Tells what the processes of a compute system wrote, also when it has ended.
    GetComputeSystemLog: System, Read, Get "/systems/{id}/log", None => Log, [],
        [FOLLOW, PROCESS, TAIL];

    /// Starts a process, and opens it for the session.
    CreateProcess = "HcsCreateProcess": Process, Manage, Post "/systems/{id}/processes",
        Document(ProcessParameters::SCHEMA) => Made(ProcessStatus::SCHEMA), ["2.1"];
    /// Opens a process for the session: fails when it does not exist.
    OpenProcess = "HcsOpenProcess": Process, Read, Post "/systems/{id}/processes/{pid}/handle",
        None => None, ["2.1"];
    /// Gives back a handle of a process; the process goes on.
    CloseProcess = "HcsCloseProcess": Process, Read,
        Delete "/systems/{id}/processes/{pid}/handle", None => None, ["2.1"];
    /// Hands over the streams of a process.
    GetProcessInfo = "HcsGetProcessInfo": Process, Manage,
        Post "/systems/{id}/processes/{pid}/stdio", None => Streams, ["2.1"];
    /// Tells about a process.
    GetProcessProperties = "HcsGetProcessProperties": Process, Read,
        Get "/systems/{id}/processes/{pid}",
        Query(SystemPropertyQuery::SCHEMA) => Document(ProcessStatus::SCHEMA), ["2.1"];
    /// Changes a process: its console's size, its streams.
    ModifyProcess = "HcsModifyProcess": Process, Manage, Patch "/systems/{id}/processes/{pid}",
        Document(ProcessModifyRequest::SCHEMA) => None, ["2.1"];
    /// Sends a signal to a process.
    SignalProcess = "HcsSignalProcess": Process, Manage,
        Post "/systems/{id}/processes/{pid}/signal",
        Options(SignalProcessOptions::SCHEMA) => None, ["2.1"];
    /// Kills a process.
    TerminateProcess = "HcsTerminateProcess": Process, Manage,
        Post "/systems/{id}/processes/{pid}/terminate", None => None, ["2.1"];
    /// Sends what happens to a process.
    SetProcessCallback = "HcsSetProcessCallback": Process, Read, , Arguments => Local, ["2.1"];
    /// Waits until a process has ended.
    WaitForProcessExit = "HcsWaitForProcessExit": Process, Read,
        Get "/systems/{id}/processes/{pid}/exit", None => Document(ProcessStatus::SCHEMA),
        ["2.4"], [TIMEOUT];

    /// Tells about the service and the host.
    GetServiceProperties = "HcsGetServiceProperties": Service, Read, Get "/service",
        Query(ServicePropertyQuery::SCHEMA) => Document(ServiceProperties::SCHEMA), ["2.1"];
    /// Changes settings of the service.
    ModifyServiceSettings = "HcsModifyServiceSettings": Service, Manage, Patch "/service",
        Document(ModificationRequest::SCHEMA) => None, ["2.1"];
    /// Hands a crash to the system's error reporting.
    SubmitWerReport = "HcsSubmitWerReport": Service, Manage, , Arguments => Local, ["2.1"];

    /// Makes an empty file for what a machine's firmware keeps.
    CreateEmptyGuestStateFile = "HcsCreateEmptyGuestStateFile": Machine, Manage, ,
        Arguments => Local, ["2.1"];
    /// Makes an empty file for what a machine's devices keep.
    CreateEmptyRuntimeStateFile = "HcsCreateEmptyRuntimeStateFile": Machine, Manage, ,
        Arguments => Local, ["2.1"];
    /// Lets a machine use a file.
    GrantVmAccess = "HcsGrantVmAccess": Machine, Manage, , Arguments => Local, ["2.1"];
    /// Takes that back.
    RevokeVmAccess = "HcsRevokeVmAccess": Machine, Manage, , Arguments => Local, ["2.1"];
    /// Lets all machines use a file.
    GrantVmGroupAccess = "HcsGrantVmGroupAccess": Machine, Manage, , Arguments => Local, ["2.3"];
    /// Takes that back.
    RevokeVmGroupAccess = "HcsRevokeVmGroupAccess": Machine, Manage, , Arguments => Local, ["2.3"];
    /// Tells what a saved machine needs of the processors.
    GetProcessorCompatibilityFromSavedState = "HcsGetProcessorCompatibilityFromSavedState":
        Machine, Read, , Arguments => Local, ["2.4"];
    /// Makes a compute system under an id that is unique among those of a caller.
    CreateComputeSystemInNamespace = "HcsCreateComputeSystemInNamespace": System, Manage, ,
        Arguments => Local, [];
    /// Opens a compute system by such an id.
    OpenComputeSystemInNamespace = "HcsOpenComputeSystemInNamespace": System, Read, ,
        Arguments => Local, [];
    /// Lists compute systems with such ids.
    EnumerateComputeSystemsInNamespace = "HcsEnumerateComputeSystemsInNamespace": System, Read, ,
        Arguments => Local, [];
    /// Sets up the side of a migration where the machine is.
    InitializeLiveMigrationOnSource = "HcsInitializeLiveMigrationOnSource": System, Manage, ,
        Arguments => Local, [];
    /// Begins a migration where the machine is.
    StartLiveMigrationOnSource = "HcsStartLiveMigrationOnSource": System, Manage, ,
        Arguments => Local, [];
    /// Sends the memory of a migration.
    StartLiveMigrationTransfer = "HcsStartLiveMigrationTransfer": System, Manage, ,
        Arguments => Local, [];
    /// Ends a migration.
    FinalizeLiveMigration = "HcsFinalizeLiveMigration": System, Manage, , Arguments => Local, [];
    /// Gives up a migration.
    CancelLiveMigration = "HcsCancelLiveMigration": System, Manage, , Arguments => Local, [];

    /// Makes an operation object.
    CreateOperation = "HcsCreateOperation": Operation, Read, , Arguments => Local, ["2.1"];
    /// Makes an operation object that is told how far it has got.
    CreateOperationWithNotifications = "HcsCreateOperationWithNotifications": Operation, Read, ,
        Arguments => Local, [];
    /// Gives an operation object back; what it tracks goes on.
    CloseOperation = "HcsCloseOperation": Operation, Read, , Arguments => Local, ["2.1"];
    /// Gives an operation a handle of the caller's.
    AddResourceToOperation = "HcsAddResourceToOperation": Operation, Read, , Arguments => Local, [];
    /// Cancels an operation; documented as not implemented.
    CancelOperation = "HcsCancelOperation": Operation, Read, , Arguments => Local, ["2.1"];
    /// Tells which compute system an operation is about.
    GetComputeSystemFromOperation = "HcsGetComputeSystemFromOperation": Operation, Read, ,
        Arguments => Local, ["2.1"];
    /// Tells which process an operation is about.
    GetProcessFromOperation = "HcsGetProcessFromOperation": Operation, Read, ,
        Arguments => Local, ["2.1"];
    /// Tells the caller's word of an operation.
    GetOperationContext = "HcsGetOperationContext": Operation, Read, , Arguments => Local, ["2.1"];
    /// Sets the caller's word of an operation.
    SetOperationContext = "HcsSetOperationContext": Operation, Read, , Arguments => Local, ["2.1"];
    /// Tells the number of an operation.
    GetOperationId = "HcsGetOperationId": Operation, Read, , Arguments => Local, ["2.1"];
    /// Tells what an operation does.
    GetOperationType = "HcsGetOperationType": Operation, Read, , Arguments => Local, ["2.1"];
    /// Tells what is known of an operation.
    GetOperationProperties = "HcsGetOperationProperties": Operation, Read, ,
        Arguments => Local, [];
    /// Tells how an operation ended, without waiting.
    GetOperationResult = "HcsGetOperationResult": Operation, Read, , Arguments => Local, ["2.1"];
    /// Tells how the start of a process ended, without waiting.
    GetOperationResultAndProcessInfo = "HcsGetOperationResultAndProcessInfo": Operation, Read, ,
        Arguments => Local, ["2.1"];
    /// Waits until an operation has ended.
    WaitForOperationResult = "HcsWaitForOperationResult": Operation, Read, ,
        Arguments => Local, ["2.1"];
    /// Waits until the start of a process has ended.
    WaitForOperationResultAndProcessInfo = "HcsWaitForOperationResultAndProcessInfo": Operation,
        Read, , Arguments => Local, ["2.1"];
    /// Sets who is told that an operation has ended.
    SetOperationCallback = "HcsSetOperationCallback": Operation, Read, ,
        Arguments => Local, ["2.1"];

    /// Lists all images, sorted by their names.
    EnumerateImages: Image, Read, Get "/images", None => Documents(Image::SCHEMA), [];
    /// Shows one image: by a name, a digest, or the unique beginning of its id.
    GetImage: Image, Read, Get "/images/{image}", None => Document(Image::SCHEMA), [];
    /// Imports the images of an archive (OCI or `docker save`, compressed or not), which is the body or a
    /// file, or of a directory with an OCI layout.
    ImportImage: Image, Manage, Post "/images/import",
        Archive => Work(Done::Documents(ImportedImage::SCHEMA)), [],
        [SOURCE, STEM, NAME, PLATFORM, LIMIT_SIZE, LIMIT_ENTRIES];
    /// Imports an image from a registry.
    PullImage: Image, Manage, Post "/images/pull",
        Options(RegistryAccess::SCHEMA) => Work(Done::Document(ImportedImage::SCHEMA)), [],
        [REFERENCE, NAME, PLATFORM, LIMIT_SIZE, LIMIT_ENTRIES];
    /// Writes an image to a file or directory where nothing is.
    ExportImage: Image, Manage, Post "/images/{image}/export",
        None => Work(Done::Document(Image::SCHEMA)), [], [TARGET, FORM, COMPRESSION];
    /// Hands over an image as an archive.
    GetImageArchive: Image, Manage, Post "/images/{image}/archive", None => Archive, [],
        [FORM, COMPRESSION];
    /// Gives an image a name; the name leaves the image that had it.
    TagImage: Image, Manage, Post "/images/{image}/tag", None => None, [], [TAG];
    /// Takes a name away; by id, all names. What nobody uses any more goes.
    RemoveImage: Image, Manage, Delete "/images/{image}", None => Document(RemovedImage::SCHEMA), [];
    /// Removes what no image names and nobody uses.
    PruneImages: Image, Manage, Post "/images/prune", None => Document(PrunedImages::SCHEMA), [];

    /// Lists the layers of all images.
    EnumerateLayers: Layer, Read, Get "/layers", None => Documents(StoredLayer::SCHEMA), [];
    /// Makes a layer of an archive, which is the body or a file, or of a transport folder.
    ImportLayer = "HcsImportLayer": Layer, Manage, Post "/layers/{layer}/import",
        Archive => Work(Done::Nothing), ["2.1"], [SOURCE, PARENTS, LIMIT_SIZE, LIMIT_ENTRIES];
    /// Writes a layer to a file (its name ends with `.tar`, `.tar.gz` or `.tar.zst`), or to a transport folder.
    ExportLayer = "HcsExportLayer": Layer, Manage, Post "/layers/{layer}/export",
        Options(LayerData::SCHEMA) => Work(Done::Nothing), ["2.1"], [TARGET, WRITABLE];
    /// Hands over a layer as an archive.
    GetLayerArchive: Layer, Manage, Post "/layers/{layer}/archive", None => Archive, [],
        [WRITABLE, COMPRESSION];
    /// Packs the layer that an older container wrote.
    ExportLegacyWritableLayer = "HcsExportLegacyWritableLayer": Layer, Manage, ,
        Arguments => Local, ["2.1"];
    /// Deletes a layer.
    DestroyLayer = "HcsDestroyLayer": Layer, Manage, Delete "/layers/{layer}", None => None, ["2.1"];
    /// Makes a base layer usable.
    SetupBaseOSLayer = "HcsSetupBaseOSLayer": Layer, Manage, Post "/layers/{layer}/setup",
        Options(OsLayerOptions::SCHEMA) => None, ["2.1"];
    /// Makes a base layer on a volume usable.
    SetupBaseOSVolume = "HcsSetupBaseOSVolume": Layer, Manage, , Arguments => Local, ["2.3"];
    /// Prepares an empty layer to be written.
    InitializeWritableLayer = "HcsInitializeWritableLayer": Layer, Manage,
        Post "/layers/{layer}/initialize", Options(LayerData::SCHEMA) => None, ["2.1"];
    /// Prepares an empty layer of the older kind to be written.
    InitializeLegacyWritableLayer = "HcsInitializeLegacyWritableLayer": Layer, Manage, ,
        Arguments => Local, ["2.1"];
    /// Makes layers seen as one file system.
    AttachLayerStorageFilter = "HcsAttachLayerStorageFilter": Layer, Manage,
        Post "/layers/{layer}/attach", Options(LayerData::SCHEMA) => None, ["2.1"];
    /// Takes that back.
    DetachLayerStorageFilter = "HcsDetachLayerStorageFilter": Layer, Manage,
        Post "/layers/{layer}/detach", None => None, ["2.1"];
    /// Makes layers seen as one file system, by a filter of the caller's choice.
    AttachOverlayFilter = "HcsAttachOverlayFilter": Layer, Manage, , Arguments => Local, [];
    /// Takes that back.
    DetachOverlayFilter = "HcsDetachOverlayFilter": Layer, Manage, , Arguments => Local, [];
    /// Formats the disk of a layer.
    FormatWritableLayerVhd = "HcsFormatWritableLayerVhd": Layer, Manage, ,
        Arguments => Local, ["2.1"];
    /// Tells where the disk of a layer is mounted.
    GetLayerVhdMountPath = "HcsGetLayerVhdMountPath": Layer, Read, , Arguments => Local, ["2.1"];
}

const ID: Parameter = Parameter::required(
    "id",
    schema::Kind::Text,
    "The id of the new system: 1 to 255 characters, unique on this host whatever their case.",
);

const RUNTIME: Parameter = Parameter::optional(
    "runtime",
    schema::Kind::Text,
    "Who makes the container: builtin, the name of an OCI runtime's program, or, for root, its absolute path; \
          as the service is set up when it is left out.",
);

const USERS: Parameter = Parameter::optional(
    "users",
    schema::Kind::Text,
    "Whose users those of the container are: host, or ranges INSIDE:HOST:COUNT with commas between; \
          as the service is set up when it is left out. Root's to say.",
);

const GROUPS: Parameter = Parameter::optional(
    "groups",
    schema::Kind::Text,
    "The same for groups; as the users when it is left out.",
);

const CAPABILITIES: Parameter = Parameter::optional(
    "capabilities",
    schema::Kind::Text,
    "What root in the container may do beyond (+NAME, root's to say) or short of (-NAME, -ALL) what it usually may, \
          in this order, with commas between. MKNOD cannot be added.",
);

const UNFILTERED: Parameter =
    Parameter::optional("unfiltered", schema::Kind::Bool, "Filter no system calls. Root's to say.");

const READ_ONLY: Parameter = Parameter::optional(
    "read-only",
    schema::Kind::Bool,
    "Let nobody write to the root file system; what is mapped says for itself.",
);

const ENDS_WITH_FIRST_PROCESS: Parameter = Parameter::optional(
    "ends-with-first-process",
    schema::Kind::Bool,
    "End the system with the first process that is started in it.",
);

const STOP_SIGNAL: Parameter = Parameter::optional(
    "stop-signal",
    schema::Kind::Text,
    "What its processes get when it is shut down: a number, or a name as SIGTERM, which it is when left out.",
);

const ENDPOINT: Parameter = Parameter::optional(
    "endpoint",
    schema::Kind::Text,
    "What the endpoint is like that is made for it on the network in NetworkAdapters: a HostComputeEndpoint with policies, \
          addresses, names.",
);

const ENDED: Parameter = Parameter::optional(
    "ended",
    schema::Kind::Bool,
    "List the systems that have ended, as far as they are remembered, instead of the others.",
);

const TIMEOUT: Parameter = Parameter::optional(
    "timeout",
    schema::Kind::Unsigned(32),
    "How many milliseconds to wait at most, without a limit when it is left out; \
          the answer is 504 (WAIT_TIMEOUT) when they are over.",
);

const FOLLOW: Parameter = Parameter::optional(
    "follow",
    schema::Kind::Bool,
    "Go on with what is written from now on, until the system ends.",
);

const PROCESS: Parameter =
    Parameter::optional("pid", schema::Kind::Unsigned(32), "Only what this process wrote.");

const TAIL: Parameter =
    Parameter::optional("tail", schema::Kind::Unsigned(64), "Only so many of the last lines.");

const SOURCE: Parameter = Parameter::optional(
    "source",
    schema::Kind::Text,
    "The file or directory, instead of a body: an absolute path, opened with the caller's rights.",
);

const STEM: Parameter = Parameter::optional(
    "stem",
    schema::Kind::Text,
    "What names begin with that are only a tag, where the archive is the body.",
);

const NAME: Parameter = Parameter::optional(
    "name",
    schema::Kind::Text,
    "What it shall be called; what it calls itself when left out.",
);

const PLATFORM: Parameter = Parameter::optional(
    "platform",
    schema::Kind::Text,
    "For which platform, such as `linux/amd64`, where there are several; the service's own when left out.",
);

const LIMIT_SIZE: Parameter = Parameter::optional(
    "limit-size",
    schema::Kind::Unsigned(64),
    "Refuse a layer that unpacks to more bytes.",
);

const LIMIT_ENTRIES: Parameter = Parameter::optional(
    "limit-entries",
    schema::Kind::Unsigned(64),
    "Refuse a layer with more files.",
);

const REFERENCE: Parameter =
    Parameter::required("reference", schema::Kind::Text, "`HOST[:PORT]/PATH[:TAG][@DIGEST]`.");

const TARGET: Parameter = Parameter::required(
    "target",
    schema::Kind::Text,
    "Where nothing is: an absolute path, made with the caller's rights.",
);

const FORM: Parameter = Parameter::optional(
    "form",
    schema::Kind::Text,
    "`oci-archive`, `docker-archive`, or `oci`, a directory; the first when left out.",
);

const COMPRESSION: Parameter =
    Parameter::optional("compression", schema::Kind::Text, "`none`, `gzip` or `zstd`.");

const TAG: Parameter =
    Parameter { name: "name", kind: schema::Kind::Text, required: true, doc: "The other name." };

const PARENTS: Parameter =
    Parameter::optional("parents", schema::Kind::Text, "The layers below (LayerData).");

const WRITABLE: Parameter =
    Parameter::optional("writable", schema::Kind::Bool, "What was written into a writable layer.");

/// What a connection is upgraded to that brings the streams of a process. After the head of the
/// answer the service sends one byte, the sum of [`STDIN`], [`STDOUT`] and [`STDERR`] as far as the
/// process has them, and with it that many descriptors in this order (SCM_RIGHTS); then it closes.
pub const STDIO_UPGRADE: &str = "hostcompute-stdio";

/// What a connection is upgraded to that becomes one stream of a process: bytes from there on, until
/// one side ends it. For those to whom no descriptors can be handed; `204` where the process has no
/// such stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamUpgrade {
    /// What `Upgrade` says.
    pub name: &'static str,
    /// [`STDIN`], [`STDOUT`] or [`STDERR`].
    pub bit: u8,
}

/// The three of them, in the order of their descriptors.
pub const STREAM_UPGRADES: &[StreamUpgrade] = &[
    StreamUpgrade { name: "hostcompute-stdin", bit: STDIN },
    StreamUpgrade { name: "hostcompute-stdout", bit: STDOUT },
    StreamUpgrade { name: "hostcompute-stderr", bit: STDERR },
];

/// A text as a part of a path or of a query string: an id of a system, say.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&alloc::format!("%{byte:02X}"));
        }
    }
    encoded
}

/// There is a descriptor that writes what the process reads.
pub const STDIN: u8 = 1;

/// There is a descriptor that reads what the process writes.
pub const STDOUT: u8 = 2;

/// There is a descriptor that reads what the process complains of.
pub const STDERR: u8 = 4;

impl ComputeOperation {
    /// The name, such as `StartComputeSystem`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The function that the Windows library exports for it; `None` for what Windows has not.
    pub fn symbol(self) -> Option<&'static str> {
        self.row().symbol
    }

    /// What it is about.
    pub fn subject(self) -> Subject {
        self.row().subject
    }

    /// The right that a caller needs.
    pub fn right(self) -> Right {
        self.row().right
    }

    /// The HTTP method and path; `{id}` stands for the percent-encoded id of a system, `{pid}` for the
    /// number of a process, `{image}` for the percent-encoded name or id of an image, `{layer}` for the
    /// percent-encoded absolute path of a layer.
    pub fn route(self) -> Option<(Method, &'static str)> {
        self.row().route
    }

    /// What goes in.
    pub fn input(self) -> Input {
        self.row().input
    }

    /// What comes back.
    pub fn output(self) -> Output {
        self.row().output
    }

    /// What else stands in the query string.
    pub fn parameters(self) -> &'static [&'static Parameter] {
        self.row().parameters
    }

    /// The schema version of the first Windows that has it; `None` for what is exported and not
    /// documented, and for what Windows has not.
    pub fn since(self) -> Option<SchemaVersion> {
        self.row().since
    }

    /// What it does, in one sentence.
    pub fn doc(self) -> &'static str {
        self.row().doc.trim()
    }

    /// Whether it leaves everything as it is.
    pub fn is_read_only(self) -> bool {
        self.right() == Right::Read
    }
}

impl Subject {
    /// The word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Subject::System => "compute system",
            Subject::Process => "process",
            Subject::Service => "compute service",
            Subject::Machine => "virtual machine",
            Subject::Image => "image",
            Subject::Layer => "layer",
            Subject::Operation => "operation",
        }
    }
}

impl fmt::Display for ComputeOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ComputeOperation {
    type Err = UnknownOperation;

    /// Reads the name or the function's name.
    fn from_str(text: &str) -> Result<ComputeOperation, UnknownOperation> {
        let named = |operation: &&ComputeOperation| {
            operation.name() == text || operation.symbol() == Some(text)
        };
        ComputeOperation::ALL.iter().find(named).copied().ok_or(UnknownOperation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use crate::service::ServiceOperation;
    use alloc::collections::BTreeSet;

    /// 60 of the 64 names of computecore.dll (the others are in an import library only), the 14 of
    /// computestorage.dll, the log, and what there is about images.
    #[test]
    fn every_exported_function_has_a_row() {
        let symbols: BTreeSet<_> =
            ComputeOperation::ALL.iter().filter_map(|operation| operation.symbol()).collect();
        assert_eq!(symbols.len(), 60 + 14);
        assert_eq!(ComputeOperation::ALL.len(), 60 + 14 + 1 + 11);
        for operation in ComputeOperation::ALL {
            assert_eq!(operation.name().parse(), Ok(*operation));
            assert!(operation.doc().ends_with('.'), "{operation}");
            if let Some(symbol) = operation.symbol() {
                assert_eq!(symbol.strip_prefix("Hcs"), Some(operation.name()));
                assert_eq!(symbol.parse(), Ok(*operation));
            }
        }
    }

    #[test]
    fn no_route_is_taken_twice_in_any_table() {
        let ours = ComputeOperation::ALL.iter().filter_map(|operation| operation.route());
        let network = Operation::ALL.iter().filter_map(|operation| operation.route());
        let own = ServiceOperation::ALL.iter().map(|operation| operation.route());
        let all: alloc::vec::Vec<_> = ours.chain(network).chain(own).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|(_, path)| path.starts_with('/')));
    }

    #[test]
    fn looking_changes_nothing() {
        for operation in ComputeOperation::ALL.iter().filter(|o| o.route().is_some()) {
            let (method, path) = operation.route().unwrap();
            let looks = method == Method::Get || path.ends_with("/handle");
            assert_eq!(operation.is_read_only(), looks, "{operation}");
        }
    }
}
