//! Changes of a guest's registry (hcs.md 3.2). Linux has none; the documents are known all the same.

use alloc::string::String;
use alloc::vec::Vec;

use crate::element::Base64;

documents! { @compute
    /// Changes of the registry before a start.
    pub struct RegistryChanges("RegistryChanges") {
        /// Values to be set.
        add_values: Option<Vec<RegistryValue>> = "AddValues" ["2.0"],
        /// Keys to be deleted.
        delete_keys: Option<Vec<RegistryKey>> = "DeleteKeys" ["2.0"],
    }

    /// A key of the registry.
    pub struct RegistryKey("RegistryKey") {
        /// The hive that it is in.
        hive: Option<RegistryHive> = "Hive" ["2.0"],
        /// Its path inside the hive.
        name: Option<String> = "Name" ["2.0"],
        /// Whether it is forgotten at the end.
        volatile: Option<bool> = "Volatile" ["2.0"],
    }

    /// A value of the registry; the member that fits the type holds the data.
    pub struct RegistryValue("RegistryValue") {
        /// The key that it belongs to.
        key: Option<RegistryKey> = "Key" ["2.0"],
        /// Its name.
        name: Option<String> = "Name" ["2.0"],
        /// What it holds.
        kind: Option<RegistryValueType> = "Type" ["2.0"],
        /// A text.
        string_value: Option<String> = "StringValue" ["2.0"],
        /// Bytes.
        binary_value: Option<Base64> = "BinaryValue" ["2.0"],
        /// A number of 32 bits.
        d_word_value: Option<u32> = "DWordValue" ["2.0"],
        /// A number of 64 bits.
        q_word_value: Option<u64> = "QWordValue" ["2.0"],
        /// The number of a type without a name; the bytes hold the data.
        custom_type: Option<u32> = "CustomType" ["2.0"],
    }

    /// Whether changes of the registry reach the disk.
    pub struct RegistryFlushState("RegistryFlushState") {
        /// Off: what the container wants written is ignored.
        enabled: Option<bool> = "Enabled" ["2.1"],
    }
}

names! {
    /// The hives of the registry.
    pub enum RegistryHive {
        /// Devices and services.
        System ["2.0"],
        /// Programs.
        Software ["2.0"],
        /// Rights.
        Security ["2.0"],
        /// Accounts.
        Sam ["2.0"],
    }

    /// What a value of the registry holds.
    pub enum RegistryValueType {
        /// Nothing.
        None ["2.0"],
        /// A text.
        String ["2.0"],
        /// A text with variables.
        ExpandedString ["2.0"],
        /// Several texts.
        MultiString ["2.0"],
        /// Bytes.
        Binary ["2.0"],
        /// A number of 32 bits.
        DWord ["2.0"],
        /// A number of 64 bits.
        QWord ["2.0"],
        /// Bytes of a type that has a number only.
        CustomType ["2.0"],
    }
}
