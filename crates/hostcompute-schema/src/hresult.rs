//! The status codes of the API: one table of value, name and system text.
//!
//! Facility 0x3b is HCN, with the severity bit set: `0x803b0000` plus the code; facility 0x37 is HCS.
//! The older interface and the guest's agent use codes of HCS in another form (`0xc037`), which is
//! read, and given to programs of the older interface alone ([`HResult::older_form`]). The rest are the generic codes that callers are known to meet. Which code an
//! operation returns is decided where the operation is decided; here stands only what each is called.

use core::fmt;

/// A 32-bit HRESULT.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HResult(pub u32);

macro_rules! hresults {
    ($($name:ident = $value:literal, $message:literal;)*) => {
        impl HResult {
            $(#[doc = $message] pub const $name: HResult = HResult($value);)*

            /// Every code of the table.
            pub const ALL: &'static [HResult] = &[$(HResult::$name),*];

            fn row(self) -> Option<(&'static str, &'static str)> {
                match self {
                    $(HResult::$name => Some((stringify!($name), $message)),)*
                    _ => None,
                }
            }
        }
    };
}

hresults! {
    S_OK = 0x0000_0000, "The operation completed successfully.";
    HCN_E_NETWORK_NOT_FOUND = 0x803b_0001, "The network was not found.";
    HCN_E_ENDPOINT_NOT_FOUND = 0x803b_0002, "The endpoint was not found.";
    HCN_E_LAYER_NOT_FOUND = 0x803b_0003, "The network's underlying layer was not found.";
    HCN_E_SWITCH_NOT_FOUND = 0x803b_0004, "The virtual switch was not found.";
    HCN_E_SUBNET_NOT_FOUND = 0x803b_0005, "The network has no subnet for this endpoint.";
    HCN_E_ADAPTER_NOT_FOUND = 0x803b_0006, "No matching network adapter was found.";
    HCN_E_PORT_NOT_FOUND = 0x803b_0007, "The switch port was not found.";
    HCN_E_POLICY_NOT_FOUND = 0x803b_0008, "The policy was not found.";
    HCN_E_VFP_PORTSETTING_NOT_FOUND = 0x803b_0009, "The port has no filtering platform setting.";
    HCN_E_INVALID_NETWORK = 0x803b_000a, "The network document is invalid.";
    HCN_E_INVALID_NETWORK_TYPE = 0x803b_000b, "The network type is invalid.";
    HCN_E_INVALID_ENDPOINT = 0x803b_000c, "The endpoint document is invalid.";
    HCN_E_INVALID_POLICY = 0x803b_000d, "The policy is invalid.";
    HCN_E_INVALID_POLICY_TYPE = 0x803b_000e, "The policy type is invalid.";
    HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION = 0x803b_000f,
        "The operation is not possible on a remote endpoint.";
    HCN_E_NETWORK_ALREADY_EXISTS = 0x803b_0010, "A network with this name or id already exists.";
    HCN_E_LAYER_ALREADY_EXISTS = 0x803b_0011, "The network's underlying layer already exists.";
    HCN_E_POLICY_ALREADY_EXISTS = 0x803b_0012, "The policy already exists.";
    HCN_E_PORT_ALREADY_EXISTS = 0x803b_0013, "The specified port already exists.";
    HCN_E_ENDPOINT_ALREADY_ATTACHED = 0x803b_0014, "This endpoint is already attached to the switch.";
    HCN_E_REQUEST_UNSUPPORTED = 0x803b_0015, "The request is not supported.";
    HCN_E_MAPPING_NOT_SUPPORTED = 0x803b_0016, "Port mapping is not supported on this network.";
    HCN_E_DEGRADED_OPERATION = 0x803b_0017, "The object is degraded.";
    HCN_E_SHARED_SWITCH_MODIFICATION = 0x803b_0018, "A shared switch cannot be modified.";
    HCN_E_GUID_CONVERSION_FAILURE = 0x803b_0019, "The text is not a GUID.";
    HCN_E_REGKEY_FAILURE = 0x803b_001a, "The saved state could not be read or written.";
    HCN_E_INVALID_JSON = 0x803b_001b, "The document is not valid JSON of the expected schema.";
    HCN_E_INVALID_JSON_REFERENCE = 0x803b_001c,
        "A reference inside the document is missing or does not resolve.";
    HCN_E_ENDPOINT_SHARING_DISABLED = 0x803b_001d, "Sharing of this endpoint is disabled.";
    HCN_E_INVALID_IP = 0x803b_001e,
        "The IP address is invalid or not part of any configured subnet.";
    HCN_E_SWITCH_EXTENSION_NOT_FOUND = 0x803b_001f, "The switch extension was not found.";
    HCN_E_MANAGER_STOPPED = 0x803b_0020, "The network service is stopping.";
    GCN_E_MODULE_NOT_FOUND = 0x803b_0021, "The guest's service module was not found.";
    GCN_E_NO_REQUEST_HANDLERS = 0x803b_0022, "The guest has no handler for the request.";
    GCN_E_REQUEST_UNSUPPORTED = 0x803b_0023, "The guest does not support the request.";
    GCN_E_RUNTIMEKEYS_FAILED = 0x803b_0024, "The guest could not add the runtime keys.";
    GCN_E_NETADAPTER_TIMEOUT = 0x803b_0025, "The guest's adapter did not appear in time.";
    GCN_E_NETADAPTER_NOT_FOUND = 0x803b_0026, "The guest's adapter was not found.";
    GCN_E_NETCOMPARTMENT_NOT_FOUND = 0x803b_0027, "The guest's compartment was not found.";
    GCN_E_NETINTERFACE_NOT_FOUND = 0x803b_0028, "The guest's interface was not found.";
    GCN_E_DEFAULTNAMESPACE_EXISTS = 0x803b_0029, "The guest already has a default namespace.";
    HCN_E_ICS_DISABLED = 0x803b_002a, "Connection sharing is disabled.";
    HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS = 0x803b_002b,
        "The endpoint is already in a namespace.";
    HCN_E_ENTITY_HAS_REFERENCES = 0x803b_002c, "The object is still referenced.";
    HCN_E_INVALID_INTERNAL_PORT = 0x803b_002d, "The internal port is missing or zero.";
    HCN_E_NAMESPACE_ATTACH_FAILED = 0x803b_002e,
        "The endpoint could not be attached to the namespace.";
    HCN_E_ADDR_INVALID_OR_RESERVED = 0x803b_002f, "The address is invalid, reserved or in use.";
    HCN_E_INVALID_PREFIX = 0x803b_0030, "The address prefix is invalid.";
    HCN_E_OBJECT_USED_AFTER_UNLOAD = 0x803b_0031, "The object was removed while in use.";
    HCN_E_INVALID_SUBNET = 0x803b_0032, "The subnet is invalid.";
    HCN_E_INVALID_IP_SUBNET = 0x803b_0033, "The IP subnet is invalid.";
    HCN_E_ENDPOINT_NOT_ATTACHED = 0x803b_0034, "The endpoint is not attached.";
    HCN_E_ENDPOINT_NOT_LOCAL = 0x803b_0035, "The endpoint is not local.";
    HCN_INTERFACEPARAMETERS_ALREADY_APPLIED = 0x803b_0036,
        "Interface parameters were already applied.";
    HCN_E_VFP_NOT_ALLOWED = 0x803b_0037, "The filtering platform is not available here.";
    HCS_E_TERMINATED_DURING_START = 0x8037_0100,
        "The compute system exited while it was being started.";
    HCS_E_IMAGE_MISMATCH = 0x8037_0101, "The image does not fit the host's operating system.";
    HCS_E_HYPERV_NOT_INSTALLED = 0x8037_0102,
        "The virtual machine could not be started: there is no hypervisor.";
    HCS_E_INVALID_STATE = 0x8037_0105,
        "The requested operation is not possible in the present state.";
    HCS_E_UNEXPECTED_EXIT = 0x8037_0106, "The compute system exited unexpectedly.";
    HCS_E_TERMINATED = 0x8037_0107, "The compute system was forcefully terminated.";
    HCS_E_CONNECT_FAILED = 0x8037_0108, "A connection to the guest could not be made.";
    HCS_E_CONNECTION_TIMEOUT = 0x8037_0109, "The guest did not answer in time.";
    HCS_E_CONNECTION_CLOSED = 0x8037_010a, "The connection to the guest was closed.";
    HCS_E_UNKNOWN_MESSAGE = 0x8037_010b, "The guest does not know the message.";
    HCS_E_UNSUPPORTED_PROTOCOL_VERSION = 0x8037_010c,
        "The guest speaks no version of the protocol that the host speaks.";
    HCS_E_INVALID_JSON = 0x8037_010d,
        "The document is not valid JSON of the expected schema.";
    HCS_E_SYSTEM_NOT_FOUND = 0x8037_010e,
        "A compute system with this identifier does not exist.";
    HCS_E_SYSTEM_ALREADY_EXISTS = 0x8037_010f,
        "A compute system with this identifier already exists.";
    HCS_E_SYSTEM_ALREADY_STOPPED = 0x8037_0110,
        "The compute system has already stopped.";
    HCS_E_PROTOCOL_ERROR = 0x8037_0111, "The guest violated the protocol.";
    HCS_E_INVALID_LAYER = 0x8037_0112, "The folder is no layer.";
    HCS_E_WINDOWS_INSIDER_REQUIRED = 0x8037_0113, "The image needs a preview of the host.";
    HCS_E_SERVICE_NOT_AVAILABLE = 0x8037_0114, "A feature that is needed is not installed.";
    HCS_E_OPERATION_NOT_STARTED = 0x8037_0115, "The operation has not been started.";
    HCS_E_OPERATION_ALREADY_STARTED = 0x8037_0116, "The operation is already running.";
    HCS_E_OPERATION_PENDING = 0x8037_0117, "The operation is still running.";
    HCS_E_OPERATION_TIMEOUT = 0x8037_0118, "The operation did not complete in time.";
    HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET = 0x8037_0119,
        "A callback is already set for this compute system.";
    HCS_E_OPERATION_RESULT_ALLOCATION_FAILED = 0x8037_011a,
        "There is not enough memory for the operation's result.";
    HCS_E_ACCESS_DENIED = 0x8037_011b, "Access to the compute service is denied.";
    HCS_E_GUEST_CRITICAL_ERROR = 0x8037_011c, "The guest met a critical error and stopped.";
    HCS_E_PROCESS_INFO_NOT_AVAILABLE = 0x8037_011d, "Nothing is known of the process.";
    HCS_E_SERVICE_DISCONNECT = 0x8037_011e, "The connection to the compute service broke.";
    HCS_E_PROCESS_ALREADY_STOPPED = 0x8037_011f, "The process has already stopped.";
    VMCOMPUTE_OPERATION_PENDING = 0xc037_0103, "The operation is still running (older form).";
    VMCOMPUTE_INVALID_STATE = 0xc037_0105,
        "The requested operation is not possible in the present state (older form).";
    VMCOMPUTE_UNEXPECTED_EXIT = 0xc037_0106,
        "The compute system exited unexpectedly (older form).";
    VMCOMPUTE_TIMEOUT = 0xc037_0109, "The guest did not answer in time (older form).";
    VMCOMPUTE_UNKNOWN_MESSAGE = 0xc037_010b,
        "The guest does not know the message (older form).";
    VMCOMPUTE_UNSUPPORTED_PROTOCOL_VERSION = 0xc037_010c,
        "The guest speaks no version of the protocol that the host speaks (older form).";
    VMCOMPUTE_INVALID_JSON = 0xc037_010d,
        "The document is not valid JSON of the expected schema (older form).";
    VMCOMPUTE_SYSTEM_NOT_FOUND = 0xc037_010e,
        "A compute system with this identifier does not exist (older form).";
    VMCOMPUTE_SYSTEM_ALREADY_EXISTS = 0xc037_010f,
        "A compute system with this identifier already exists (older form).";
    VMCOMPUTE_ALREADY_STOPPED = 0xc037_0110,
        "The compute system has already stopped (older form).";
    E_NOTIMPL = 0x8000_4001, "Not implemented.";
    E_POINTER = 0x8000_4003, "Invalid pointer.";
    E_ABORT = 0x8000_4004, "The operation was aborted.";
    E_FAIL = 0x8000_4005, "Unspecified failure.";
    E_UNEXPECTED = 0x8000_ffff, "Unexpected internal failure.";
    ERROR_FILE_NOT_FOUND = 0x8007_0002, "The system cannot find the file specified.";
    ERROR_PATH_NOT_FOUND = 0x8007_0003, "The system cannot find the path specified.";
    E_ACCESSDENIED = 0x8007_0005, "Access is denied.";
    E_HANDLE = 0x8007_0006, "The handle is invalid.";
    ERROR_INVALID_DATA = 0x8007_000d, "The data is invalid.";
    E_OUTOFMEMORY = 0x8007_000e, "Not enough resources to complete the operation.";
    ERROR_WRONG_DISK = 0x8007_0022, "The saved state was written by an incompatible version.";
    ERROR_SHARING_VIOLATION = 0x8007_0020, "The file is used by another process.";
    ERROR_NOT_SUPPORTED = 0x8007_0032, "The request is not supported by this system.";
    ERROR_DUP_NAME = 0x8007_0034, "The name is already in use.";
    E_INVALIDARG = 0x8007_0057, "The parameter is incorrect.";
    ERROR_DISK_FULL = 0x8007_0070, "There is not enough space on the disk.";
    ERROR_PROC_NOT_FOUND = 0x8007_007f, "The function does not exist.";
    ERROR_ALREADY_EXISTS = 0x8007_00b7, "The object already exists.";
    WAIT_TIMEOUT = 0x8007_0102, "The wait did not end in time.";
    ERROR_PROCESS_ABORTED = 0x8007_042b, "The process terminated unexpectedly.";
    ERROR_NOT_FOUND = 0x8007_0490, "Element not found.";
    ERROR_BAD_IMPERSONATION_LEVEL = 0x8007_0542, "The caller's identity cannot be taken on.";
    ERROR_NOT_A_REPARSE_POINT = 0x8007_1126, "The file or directory is not a reparse point.";
    ERROR_INVALID_STATE = 0x8007_139f, "The resource is not in the state that is needed.";
    ERROR_NOT_ENOUGH_QUOTA = 0x8007_0718, "Not enough quota is available to process this command.";
    ERROR_MESSAGE_EXCEEDS_MAX_SIZE = 0x8007_10f0, "The message exceeds the maximum size.";
    RPC_S_SERVER_UNAVAILABLE = 0x8007_06ba, "The service is not available.";
    ERROR_OBJECT_NOT_FOUND = 0x8007_10d8,
        "The object identifier does not represent a valid object.";
    WSAEADDRINUSE = 0x8007_2740, "The address and port are already in use.";
}

impl HResult {
    /// The symbolic name, or `UNKNOWN` for a code outside the table.
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN", |(name, _)| name)
    }

    /// The system text: what the code says by itself, one sentence.
    pub fn message(self) -> &'static str {
        self.row().map_or("Unspecified failure.", |(_, message)| message)
    }

    /// Success is the clear severity bit.
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }

    /// The code as programs compare it that use the compute functions of vmcompute.dll, where it has another form there.
    pub fn older_form(self) -> HResult {
        let older = HResult(self.0 | 0x4000_0000);
        if HResult::ALL.contains(&older) { older } else { self }
    }

    /// The code of that name; the comparison ignores case.
    pub fn from_name(name: &str) -> Option<HResult> {
        HResult::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }

    /// The object that the call is about does not exist.
    pub fn is_not_found(self) -> bool {
        matches!(
            self,
            HResult::HCN_E_NETWORK_NOT_FOUND
                | HResult::HCN_E_ENDPOINT_NOT_FOUND
                | HResult::HCN_E_POLICY_NOT_FOUND
                | HResult::HCS_E_SYSTEM_NOT_FOUND
                | HResult::VMCOMPUTE_SYSTEM_NOT_FOUND
                | HResult::ERROR_FILE_NOT_FOUND
                | HResult::ERROR_PATH_NOT_FOUND
                | HResult::ERROR_NOT_FOUND
                | HResult::ERROR_OBJECT_NOT_FOUND
        )
    }

    /// Something of this name, id, port or frontend exists.
    pub fn is_already_exists(self) -> bool {
        matches!(
            self,
            HResult::HCN_E_NETWORK_ALREADY_EXISTS
                | HResult::HCN_E_LAYER_ALREADY_EXISTS
                | HResult::HCN_E_POLICY_ALREADY_EXISTS
                | HResult::HCN_E_PORT_ALREADY_EXISTS
                | HResult::HCN_E_ENDPOINT_ALREADY_ATTACHED
                | HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS
                | HResult::HCN_INTERFACEPARAMETERS_ALREADY_APPLIED
                | HResult::HCS_E_SYSTEM_ALREADY_EXISTS
                | HResult::VMCOMPUTE_SYSTEM_ALREADY_EXISTS
                | HResult::ERROR_ALREADY_EXISTS
                | HResult::ERROR_DUP_NAME
                | HResult::WSAEADDRINUSE
        )
    }

    /// Something else still needs the object.
    pub fn is_in_use(self) -> bool {
        matches!(
            self,
            HResult::HCN_E_ENTITY_HAS_REFERENCES
                | HResult::HCN_E_DEGRADED_OPERATION
                | HResult::HCN_E_SHARED_SWITCH_MODIFICATION
                | HResult::ERROR_SHARING_VIOLATION
        )
    }

    /// The caller lacks the right.
    pub fn is_access_denied(self) -> bool {
        matches!(self, HResult::E_ACCESSDENIED | HResult::HCS_E_ACCESS_DENIED)
    }

    /// The document is not one, or not one of this schema.
    pub fn is_invalid_json(self) -> bool {
        matches!(
            self,
            HResult::HCN_E_INVALID_JSON
                | HResult::HCS_E_INVALID_JSON
                | HResult::VMCOMPUTE_INVALID_JSON
        )
    }

    /// The compute system or the process has ended already.
    pub fn is_already_stopped(self) -> bool {
        matches!(
            self,
            HResult::HCS_E_SYSTEM_ALREADY_STOPPED
                | HResult::HCS_E_PROCESS_ALREADY_STOPPED
                | HResult::VMCOMPUTE_ALREADY_STOPPED
        )
    }

    /// The compute system is not in a state in which this is possible.
    pub fn is_invalid_state(self) -> bool {
        matches!(
            self,
            HResult::HCS_E_INVALID_STATE
                | HResult::VMCOMPUTE_INVALID_STATE
                | HResult::ERROR_INVALID_STATE
        )
    }

    /// The operation is still running.
    pub fn is_pending(self) -> bool {
        matches!(self, HResult::HCS_E_OPERATION_PENDING | HResult::VMCOMPUTE_OPERATION_PENDING)
    }

    /// It did not end in time.
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            HResult::HCS_E_OPERATION_TIMEOUT
                | HResult::HCS_E_CONNECTION_TIMEOUT
                | HResult::VMCOMPUTE_TIMEOUT
                | HResult::WAIT_TIMEOUT
        )
    }

    /// The platform cannot do it, and a client may try an older form.
    pub fn is_not_supported(self) -> bool {
        matches!(
            self,
            HResult::ERROR_NOT_SUPPORTED
                | HResult::ERROR_INVALID_DATA
                | HResult::E_NOTIMPL
                | HResult::HCS_E_UNKNOWN_MESSAGE
                | HResult::VMCOMPUTE_UNKNOWN_MESSAGE
                | HResult::VMCOMPUTE_INVALID_JSON
        )
    }

    /// The compute system ended without being asked to.
    pub fn is_unexpected_exit(self) -> bool {
        matches!(
            self,
            HResult::HCS_E_UNEXPECTED_EXIT
                | HResult::HCS_E_GUEST_CRITICAL_ERROR
                | HResult::VMCOMPUTE_UNEXPECTED_EXIT
        )
    }

    /// The code as documents of the compute service carry it.
    pub const fn to_signed(self) -> i32 {
        i32::from_ne_bytes(self.0.to_ne_bytes())
    }

    /// The inverse of [`HResult::to_signed`].
    pub const fn from_signed(code: i32) -> HResult {
        HResult(u32::from_ne_bytes(code.to_ne_bytes()))
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x} {}", self.0, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_code_has_a_name_a_text_and_one_value() {
        for (index, code) in HResult::ALL.iter().enumerate() {
            assert_ne!(code.name(), "UNKNOWN");
            assert!(code.message().ends_with('.'), "{code:?}");
            assert_eq!(HResult::from_name(code.name()), Some(*code));
            assert!(!HResult::ALL[..index].contains(code), "{code:?} stands twice");
        }
        // Fifty-five codes of HCN, thirty of HCS and their ten older forms, S_OK, the generic ones.
        assert_eq!(HResult::ALL.len(), 55 + 30 + 10 + 1 + 30);
    }

    #[test]
    fn the_facility_is_complete() {
        for code in 0x803b_0001..=0x803b_0037 {
            assert_ne!(HResult(code).name(), "UNKNOWN", "{code:#x}");
        }
        let undefined = [0x8037_0103, 0x8037_0104];
        for code in (0x8037_0100..=0x8037_011f).filter(|code| !undefined.contains(code)) {
            assert!(HResult(code).name().starts_with("HCS_E_"), "{code:#x}");
        }
    }

    #[test]
    fn documents_of_the_compute_service_carry_signed_codes() {
        assert_eq!(HResult::HCS_E_INVALID_JSON.to_signed(), -2_143_878_899);
        assert_eq!(HResult::from_signed(-2_143_878_906), HResult::HCS_E_UNEXPECTED_EXIT);
    }

    #[test]
    fn ten_codes_have_an_older_form() {
        assert_eq!(HResult::HCS_E_SYSTEM_NOT_FOUND.older_form().0, 0xc037_010e);
        assert_eq!(HResult::HCS_E_SYSTEM_ALREADY_STOPPED.older_form().0, 0xc037_0110);
        for same in [
            HResult::HCS_E_PROCESS_ALREADY_STOPPED,
            HResult::VMCOMPUTE_INVALID_STATE,
            HResult::ERROR_NOT_FOUND,
            HResult::E_HANDLE,
        ] {
            assert_eq!(same.older_form(), same);
        }
    }

    #[test]
    fn codes_print_as_eight_digits() {
        assert_eq!(HResult::HCN_E_NETWORK_NOT_FOUND.to_string(), "0x803b0001");
        assert_eq!(HResult::S_OK.to_string(), "0x00000000");
    }
}
