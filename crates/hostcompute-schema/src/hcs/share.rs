//! Directories of the host that a machine's guest sees (hcs.md 3.5): by 9p for Linux, by SMB for
//! Windows.

use alloc::string::String;
use alloc::vec::Vec;

documents! { @compute
    /// Directories that a Linux guest sees.
    pub struct Plan9("Plan9", "2.0") {
        /// The single ones.
        shares: Option<Vec<Plan9Share>> = "Shares" ["2.1"],
    }

    /// A directory that a Linux guest sees.
    pub struct Plan9Share("Plan9Share") {
        /// Its name.
        name: Option<String> = "Name" ["2.0"],
        /// The name that the guest asks for.
        access_name: Option<String> = "AccessName" ["2.1"],
        /// Where it is on the host.
        path: Option<String> = "Path" ["2.0"],
        /// The port that the guest connects to.
        port: Option<u32> = "Port" ["2.0"],
        /// The only files that are seen.
        allowed_files: Option<Vec<String>> = "AllowedFiles" ["2.2"],
        /// Properties of the share, as bits.
        flags: Option<u32> = "Flags" [],
    }

    /// Directories that a Windows guest sees.
    pub struct VirtualSmb("VirtualSmb", "2.0") {
        /// The single ones.
        shares: Option<Vec<VirtualSmbShare>> = "Shares" ["2.1"],
        /// How much of their files the guest may map, in MiB.
        direct_file_mapping_in_mb: Option<i64> = "DirectFileMappingInMB" ["2.1"],
    }

    /// A directory that a Windows guest sees.
    pub struct VirtualSmbShare("VirtualSmbShare") {
        /// Its name.
        name: Option<String> = "Name" ["2.0"],
        /// Where it is on the host.
        path: Option<String> = "Path" ["2.0"],
        /// The only files that are seen.
        allowed_files: Option<Vec<String>> = "AllowedFiles" ["2.0"],
        /// Properties of the share.
        options: Option<VirtualSmbShareOptions> = "Options" ["2.1"],
    }

    /// Properties of a directory that a Windows guest sees.
    pub struct VirtualSmbShareOptions("VirtualSmbShareOptions") {
        /// Whether it can only be read.
        read_only: Option<bool> = "ReadOnly" ["2.1"],
        /// Whether files that are open elsewhere can be read.
        share_read: Option<bool> = "ShareRead" ["2.1"],
        /// Whether files are always cached.
        cache_io: Option<bool> = "CacheIo" ["2.1"],
        /// Whether the guest is never told that it alone uses a file.
        no_oplocks: Option<bool> = "NoOplocks" ["2.1"],
        /// Whether files are opened with the rights of a backup.
        take_backup_privilege: Option<bool> = "TakeBackupPrivilege" ["2.1"],
        /// Whether files are opened as whoever added the share.
        use_share_root_identity: Option<bool> = "UseShareRootIdentity" ["2.1"],
        /// Whether programs are not mapped from the host.
        no_directmap: Option<bool> = "NoDirectmap" ["2.1"],
        /// Whether parts of files cannot be locked.
        no_locks: Option<bool> = "NoLocks" ["2.1"],
        /// Whether the guest is not told of changes.
        no_dirnotify: Option<bool> = "NoDirnotify" ["2.1"],
        /// Whether it is for memory that is shared with the host.
        vm_shared_memory: Option<bool> = "VmSharedMemory" ["2.1"],
        /// Whether only the files that are listed are seen.
        restrict_file_access: Option<bool> = "RestrictFileAccess" ["2.1"],
        /// Whether the guest may only cache what it reads.
        force_level_ii_oplocks: Option<bool> = "ForceLevelIIOplocks" ["2.1"],
        /// Whether the host may lead parts of it elsewhere.
        reparse_base_layer: Option<bool> = "ReparseBaseLayer" ["2.1"],
        /// Whether the guest is told that it alone uses files.
        pseudo_oplocks: Option<bool> = "PseudoOplocks" ["2.1"],
        /// Whether files are never cached.
        non_cache_io: Option<bool> = "NonCacheIo" ["2.1"],
        /// Whether the guest may ask for changes and is told of none.
        pseudo_dirnotify: Option<bool> = "PseudoDirnotify" ["2.1"],
        /// Whether it stands for one file.
        single_file_mapping: Option<bool> = "SingleFileMapping" ["2.1"],
        /// Whether files that are still in the cloud are fetched on access.
        support_cloud_files: Option<bool> = "SupportCloudFiles" ["2.3"],
        /// Whether the guest does not see that files are encrypted.
        filter_encryption_attributes: Option<bool> = "FilterEncryptionAttributes" ["2.4"],
    }
}
