//! Queries (hcn.md 2.19) and the shape of document they ask for (2.20).

use alloc::string::String;

use crate::hcn::Version;

documents! {
    /// Which objects, or which form of a document, a caller asks for.
    pub struct HostComputeQuery("HostComputeQuery") {
        /// The schema version that the answer should be written in.
        schema_version: Option<Version> = "SchemaVersion" ["2.0"],
        /// How much to tell, as a sum of bits.
        flags: Option<HostComputeQueryFlags> = "Flags" ["2.0"],
        /// A JSON object as text; each of its members must equal the object's.
        filter: Option<String> = "Filter" ["2.0"],
    }
}

flags! {
    /// How much a query asks to be told.
    pub struct HostComputeQueryFlags {
        /// The usual.
        NONE = 0 "None" ["2.0"],
        /// Also what the object rests on.
        DETAILED = 1 "Detailed" ["2.0"],
    }
}
