//! Processes inside a compute system (hcs.md 3.6): how they are started, changed, signalled, and what
//! is told of them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::Signal;

documents! { @compute
    /// How a process is started.
    pub struct ProcessParameters("ProcessParameters") {
        /// The program, where the command line does not name it.
        application_name: Option<String> = "ApplicationName" ["2.0"],
        /// The command as one text.
        command_line: Option<String> = "CommandLine" ["2.0"],
        /// The command as a list: the program and its arguments.
        command_args: Option<Vec<String>> = "CommandArgs" ["2.0"],
        /// The user that it runs as.
        user: Option<String> = "User" ["2.0"],
        /// The directory that it begins in.
        working_directory: Option<String> = "WorkingDirectory" ["2.0"],
        /// Variables of the environment, beside those that are there anyway.
        environment: Option<BTreeMap<String, String>> = "Environment" ["2.0"],
        /// Whether it runs with as few rights as possible.
        restricted_token: Option<bool> = "RestrictedToken" ["2.0"],
        /// Whether it gets a console; its error output then is its output.
        emulate_console: Option<bool> = "EmulateConsole" ["2.0"],
        /// Whether its input can be written.
        create_std_in_pipe: Option<bool> = "CreateStdInPipe" ["2.0"],
        /// Whether its output can be read.
        create_std_out_pipe: Option<bool> = "CreateStdOutPipe" ["2.0"],
        /// Whether its error output can be read.
        create_std_err_pipe: Option<bool> = "CreateStdErrPipe" ["2.0"],
        /// Height and width of the console, in this order.
        console_size: Option<[u16; 2]> = "ConsoleSize" ["2.0"],
        /// Whether it joins a session of the user that exists.
        use_existing_login: Option<bool> = "UseExistingLogin" ["2.0"],
        /// Whether the console is the older kind.
        use_legacy_console: Option<bool> = "UseLegacyConsole" ["2.0"],
        /// The process of an OCI specification, for a Linux guest.
        oci_process: Option<Value> = "OciProcess" [],
        /// An OCI specification, for a Linux guest.
        oci_specification: Option<Value> = "OciSpecification" [],
        /// Whether it runs in the virtual machine itself, in none of its containers.
        create_in_utility_vm: Option<bool> = "CreateInUtilityVM" [],
    }

    /// A change of a running process.
    pub struct ProcessModifyRequest("ProcessModifyRequest") {
        /// What is to be done.
        operation: Option<ModifyOperation> = "Operation" ["2.0"],
        /// The console's new size.
        console_size: Option<ConsoleSize> = "ConsoleSize" ["2.0"],
        /// The stream to be closed.
        close_handle: Option<CloseHandle> = "CloseHandle" ["2.0"],
    }

    /// The size of a console in characters.
    pub struct ConsoleSize("ConsoleSize") {
        /// The lines.
        height: Option<u16> = "Height" ["2.0"],
        /// The characters of a line.
        width: Option<u16> = "Width" ["2.0"],
    }

    /// A stream that is to be closed.
    pub struct CloseHandle("CloseHandle") {
        /// Which.
        handle: Option<StdHandle> = "Handle" ["2.0"],
    }

    /// What a process is sent.
    pub struct SignalProcessOptions("SignalProcessOptions") {
        /// The signal: an event of a console, or a number of Linux.
        signal: Option<Signal> = "Signal" ["2.1"],
    }

    /// How a process fares.
    pub struct ProcessStatus("ProcessStatus") {
        /// Its number.
        process_id: Option<u32> = "ProcessId" ["2.1"],
        /// Whether it has ended.
        exited: Option<bool> = "Exited" ["2.1"],
        /// What it ended with; valid when it has ended and waiting for it succeeded.
        exit_code: Option<u32> = "ExitCode" ["2.1"],
        /// The code that waiting for it ended with.
        last_wait_result: Option<i32> = "LastWaitResult" ["2.1"],
    }

    /// One process of a compute system.
    pub struct ProcessDetails("ProcessDetails") {
        /// Its number.
        process_id: Option<u32> = "ProcessId" ["2.1"],
        /// The name of its program.
        image_name: Option<String> = "ImageName" ["2.1"],
        /// When it was started.
        create_timestamp: Option<super::DateTime> = "CreateTimestamp" ["2.1"],
        /// How long it has computed, in units of 100 ns.
        user_time_100ns: Option<u64> = "UserTime100ns" ["2.1"],
        /// How long the kernel has computed for it, in units of 100 ns.
        kernel_time_100ns: Option<u64> = "KernelTime100ns" ["2.1"],
        /// The memory that it has asked for.
        memory_commit_bytes: Option<u64> = "MemoryCommitBytes" ["2.1"],
        /// The memory that it alone has.
        memory_working_set_private_bytes: Option<u64> = "MemoryWorkingSetPrivateBytes" ["2.1"],
        /// The memory that it shares.
        memory_working_set_shared_bytes: Option<u64> = "MemoryWorkingSetSharedBytes" ["2.1"],
    }
}

names! {
    /// What is done to a running process.
    pub enum ModifyOperation {
        /// Its console gets another size.
        ConsoleSize ["2.0"],
        /// One of its streams is closed.
        CloseHandle ["2.0"],
    }

    /// The streams of a process.
    pub enum StdHandle {
        /// What it reads.
        StdIn ["2.0"],
        /// What it writes.
        StdOut ["2.0"],
        /// What it complains into.
        StdErr ["2.0"],
        /// All three.
        All ["2.1"],
    }

    /// The events of a console.
    pub enum ProcessSignal {
        /// Interrupt; SIGINT on Linux.
        CtrlC ["2.1"],
        /// Break; SIGQUIT on Linux.
        CtrlBreak ["2.1"],
        /// The console goes; SIGHUP on Linux.
        CtrlClose ["2.1"],
        /// The user goes; SIGHUP on Linux.
        CtrlLogOff ["2.1"],
        /// The system goes; SIGTERM on Linux.
        CtrlShutdown ["2.1"],
    }
}
