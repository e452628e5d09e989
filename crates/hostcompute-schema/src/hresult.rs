//! The status codes of the API: one table of value, name and system text.
//!
//! Facility 0x3b is HCN, with the severity bit set: `0x803b0000` plus the code. The rest are the
//! generic codes that callers are known to meet. Which code an operation returns is decided where
//! the operation is decided; here stands only what each is called.

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
    HCN_E_ENDPOINT_ALREADY_ATTACHED = 0x803b_0014, "The endpoint is already attached.";
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
    E_NOTIMPL = 0x8000_4001, "Not implemented.";
    E_POINTER = 0x8000_4003, "Invalid pointer.";
    E_UNEXPECTED = 0x8000_ffff, "Unexpected internal failure.";
    E_ACCESSDENIED = 0x8007_0005, "Access is denied.";
    E_HANDLE = 0x8007_0006, "The handle is invalid.";
    E_OUTOFMEMORY = 0x8007_000e, "Not enough resources to complete the operation.";
    ERROR_WRONG_DISK = 0x8007_0022, "The saved state was written by an incompatible version.";
    ERROR_NOT_SUPPORTED = 0x8007_0032, "The request is not supported by this system.";
    ERROR_DUP_NAME = 0x8007_0034, "The name is already in use.";
    E_INVALIDARG = 0x8007_0057, "The parameter is incorrect.";
    ERROR_ALREADY_EXISTS = 0x8007_00b7, "The object already exists.";
    ERROR_NOT_FOUND = 0x8007_0490, "Element not found.";
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

    /// The code of that name; the comparison ignores case.
    pub fn from_name(name: &str) -> Option<HResult> {
        HResult::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }

    /// The HTTP status that carries this code.
    pub fn http_status(self) -> u16 {
        if self.is_success() {
            return 200;
        }
        match self {
            HResult::E_ACCESSDENIED => 403,
            code if code.is_not_found() => 404,
            code if code.is_already_exists() || code.is_in_use() => 409,
            HResult::ERROR_NOT_ENOUGH_QUOTA => 429,
            HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE => 413,
            HResult::E_NOTIMPL
            | HResult::ERROR_NOT_SUPPORTED
            | HResult::HCN_E_VFP_NOT_ALLOWED
            | HResult::HCN_E_ICS_DISABLED => 501,
            HResult::HCN_E_MANAGER_STOPPED
            | HResult::RPC_S_SERVER_UNAVAILABLE
            | HResult::E_OUTOFMEMORY => 503,
            HResult::E_UNEXPECTED
            | HResult::HCN_E_REGKEY_FAILURE
            | HResult::ERROR_WRONG_DISK
            | HResult::HCN_E_NAMESPACE_ATTACH_FAILED => 500,
            code if code == HResult::E_INVALIDARG || code.0 >> 16 == 0x803b => 400,
            _ => 500,
        }
    }

    /// The object that the call is about does not exist.
    pub fn is_not_found(self) -> bool {
        matches!(
            self,
            HResult::HCN_E_NETWORK_NOT_FOUND
                | HResult::HCN_E_ENDPOINT_NOT_FOUND
                | HResult::HCN_E_POLICY_NOT_FOUND
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
        )
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
        // Fifty-five codes of the facility, S_OK and seventeen generic ones.
        assert_eq!(HResult::ALL.len(), 55 + 1 + 17);
    }

    #[test]
    fn the_facility_is_complete() {
        for code in 0x803b_0001..=0x803b_0037 {
            assert_ne!(HResult(code).name(), "UNKNOWN", "{code:#x}");
        }
    }

    #[test]
    fn codes_print_as_eight_digits() {
        assert_eq!(HResult::HCN_E_NETWORK_NOT_FOUND.to_string(), "0x803b0001");
        assert_eq!(HResult::S_OK.to_string(), "0x00000000");
    }
}
