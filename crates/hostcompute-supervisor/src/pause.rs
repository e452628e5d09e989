//! The first process of containers that another runtime makes: a program that does nothing but wait.
//!
//! It is written as the machine wants it, a few instructions behind the head of an ELF file, so that it needs nothing in the container's root
//! and nothing beside the supervisor: ignore SIGCHLD (the kernel then collects orphans), wait for ever.

/// Where the program is loaded.
const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// `rt_sigaction(SIGCHLD, &{SIG_IGN}, NULL, 8); for (;;) pause();` and the structure, whose address is relative to the code.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0xb8, 13, 0, 0, 0, // mov eax, rt_sigaction
    0xbf, 17, 0, 0, 0, // mov edi, SIGCHLD
    0x48, 0x8d, 0x35, 20, 0, 0, 0, // lea rsi, [rip + 20]
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0, // mov r10d, 8
    0x0f, 0x05, // syscall
    0xb8, 34, 0, 0, 0, // mov eax, pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the mov before
    0x90, // nop
    1, 0, 0, 0, 0, 0, 0, 0, // SIG_IGN
    0, 0, 0, 0, 0, 0, 0, 0, // flags
    0, 0, 0, 0, 0, 0, 0, 0, // restorer
    0, 0, 0, 0, 0, 0, 0, 0, // mask
];

/// The same with `ppoll(NULL, 0, NULL, NULL, 0)`, there being no `pause`.
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0x20, 0x02, 0x80, 0xd2, // mov x0, SIGCHLD
    0x41, 0x01, 0x00, 0x10, // adr x1, +40
    0x02, 0x00, 0x80, 0xd2, // mov x2, 0
    0x03, 0x01, 0x80, 0xd2, // mov x3, 8
    0xc8, 0x10, 0x80, 0xd2, // mov x8, rt_sigaction (134)
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0x01, 0x00, 0x80, 0xd2, // mov x1, 0
    0x28, 0x09, 0x80, 0xd2, // mov x8, ppoll (73)
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0xfc, 0xff, 0xff, 0x17, // b to the first mov before
    1, 0, 0, 0, 0, 0, 0, 0, // SIG_IGN
    0, 0, 0, 0, 0, 0, 0, 0, // flags
    0, 0, 0, 0, 0, 0, 0, 0, // mask
    0, 0, 0, 0, 0, 0, 0, 0,
];

/// The file.
pub fn program() -> Vec<u8> {
    let length = HEADERS + CODE.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |value: u16, file: &mut Vec<u8>| file.extend(value.to_le_bytes());
    half(2, &mut file); // an executable
    half(MACHINE, &mut file);
    file.extend(1_u32.to_le_bytes());
    file.extend((BASE + HEADERS).to_le_bytes()); // where it begins
    file.extend(64_u64.to_le_bytes()); // the program header
    file.extend(0_u64.to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    for value in [64, 56, 1, 64, 0, 0] {
        half(value, &mut file);
    }
    file.extend(1_u32.to_le_bytes()); // to be loaded
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for value in [0, BASE, BASE, length, length, 0x1000] {
        file.extend(value.to_le_bytes());
    }
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// It runs here, too, and waits until it is killed.
    #[test]
    fn it_waits() {
        let path = std::env::temp_dir().join(format!("hostcompute-pause-{}", std::process::id()));
        fs::write(&path, super::program()).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        let mut child = Command::new(&path).spawn().expect("started");
        let status = || fs::read_to_string(format!("/proc/{}/status", child.id())).expect("there");
        // SIGCHLD is the 17th.
        while !status().lines().any(|line| line.starts_with("SigIgn:") && line.ends_with("10000")) {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        assert_eq!(child.wait().expect("ended").code(), None);
        fs::remove_file(path).expect("removed");
    }
}
