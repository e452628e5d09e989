//! Programs for packets (BPF): the two that keep a station in its VLAN. Here they are put together and handed to the kernel, which checks
//! them; `route::queue` hangs them into the hook for arriving packets of a link.
//!
//! ```text
//! leaves   (arrives at the outer end)  tagged already? drop;  else push the tag, and out by the macvlan link
//! enters   (arrives at the macvlan)    not of this VLAN? drop; else take the tag off, and out by the outer end
//! ```
//!
//! The workload cannot reach them, and no frame goes on to the host's own protocols.
#![expect(unsafe_code, reason = "the system call `bpf` has no safe form")]

use std::ffi::c_int;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::error::Error;

const PROGRAM_LOAD: c_int = 5;
const SCHEDULER_CLASSIFIER: u32 = 3;
/// The helpers that are used are for programs of any licence.
const LICENCE: &[u8] = b"MIT\0";
/// ETH_P_8021Q as packets have it.
const TAGGED: i32 = 0x8100_u16.to_be() as i32;
/// TC_ACT_SHOT.
const DROP: i32 = 2;
/// Places in struct __sk_buff.
const VLAN_PRESENT: i16 = 20;
const VLAN_NUMBER: i16 = 24;
const VLAN_PROTOCOL: i16 = 28;
/// Numbers of helpers (linux/bpf.h).
const PUSH_TAG: i32 = 18;
const POP_TAG: i32 = 19;
const REDIRECT: i32 = 23;

/// An instruction: struct bpf_insn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    value: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction {
        code,
        registers: if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to },
        offset,
        value,
    }
}

const fn set(register: u8, value: i32) -> Instruction {
    instruction(0xb7, register, 0, 0, value)
}

/// Register 2 becomes a word of what register 1, the packet, points to.
const fn look(place: i16) -> Instruction {
    instruction(0x61, 2, 1, place, 0)
}

const fn keep_bits(value: i32) -> Instruction {
    instruction(0x57, 2, 0, 0, value)
}

const fn call(helper: i32) -> Instruction {
    instruction(0x85, 0, 0, 0, helper)
}

const EXIT: Instruction = instruction(0x95, 0, 0, 0, 0);

/// A jump to the end, where packets are dropped, whose distance is filled in by [`finish`].
const fn drop_unless_equal(register: u8, value: i32) -> Instruction {
    instruction(0x55, register, 0, 0, value)
}

const fn drop_if_equal(register: u8, value: i32) -> Instruction {
    instruction(0x15, register, 0, 0, value)
}

/// What a station sends leaves by link `to` in the VLAN.
fn leaves(vlan: u16, to: u32) -> Vec<Instruction> {
    finish(
        vec![
            look(VLAN_PRESENT),
            drop_unless_equal(2, 0),
            set(2, TAGGED),
            set(3, i32::from(vlan)),
            call(PUSH_TAG),
            drop_unless_equal(0, 0),
        ],
        to,
    )
}

/// What the VLAN has for a station enters by link `to`.
fn enters(vlan: u16, to: u32) -> Vec<Instruction> {
    finish(
        vec![
            look(VLAN_PRESENT),
            drop_if_equal(2, 0),
            look(VLAN_PROTOCOL),
            drop_unless_equal(2, TAGGED),
            look(VLAN_NUMBER),
            keep_bits(0xfff),
            drop_unless_equal(2, i32::from(vlan)),
            call(POP_TAG),
            drop_unless_equal(0, 0),
        ],
        to,
    )
}

/// Who comes this far leaves by the link; the others are dropped.
fn finish(mut program: Vec<Instruction>, to: u32) -> Vec<Instruction> {
    program.extend([set(1, to.cast_signed()), set(2, 0), call(REDIRECT), EXIT]);
    let end = program.len();
    for (place, instruction) in program.iter_mut().enumerate() {
        if matches!(instruction.code, 0x15 | 0x55) {
            instruction.offset = i16::try_from(end - place - 1).unwrap_or_default();
        }
    }
    program.extend([set(0, DROP), EXIT]);
    program
}

/// A program that the kernel has, as long as this lives or a link uses it.
#[derive(Debug)]
pub(crate) struct Program {
    pub fd: OwnedFd,
    /// What the kernel shows of it, and where it leads.
    pub name: String,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Leaves,
    Enters,
}

/// What a program is called.
pub(crate) fn name(way: Way, vlan: u16, to: u32) -> String {
    let way = match way {
        Way::Leaves => "leaves",
        Way::Enters => "enters",
    };
    format!("hostcompute {way} vlan {vlan} by {to}")
}

/// Hands a program to the kernel.
///
/// # Errors
/// Without the right (CAP_BPF and CAP_NET_ADMIN, not within a user namespace), or where the kernel has no such programs.
pub(crate) fn load(way: Way, vlan: u16, to: u32) -> Result<Program, Error> {
    let code = match way {
        Way::Leaves => leaves(vlan, to),
        Way::Enters => enters(vlan, to),
    };
    /// The beginning of union bpf_attr for BPF_PROG_LOAD; what follows is zero.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        code: u64,
        licence: u64,
        rest: [u64; 6],
    }
    let load = Load {
        kind: SCHEDULER_CLASSIFIER,
        count: code.len() as u32,
        code: code.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
        rest: [0; 6],
    };
    // SAFETY: the structure and what it points to live until the call returns, and the kernel only reads them.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, PROGRAM_LOAD, &raw const load, size_of::<Load>()) };
    if fd < 0 {
        let source = std::io::Error::last_os_error();
        return Err(Error::system("load the program that keeps an endpoint in its VLAN", source));
    }
    // SAFETY: the kernel has just made the descriptor for us, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as c_int) };
    Ok(Program { fd, name: name(way, vlan, to) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_leads_to_the_end() {
        for program in [leaves(5, 7), enters(5, 7)] {
            let end = program.len() - 2;
            for (place, it) in
                program.iter().enumerate().filter(|it| matches!(it.1.code, 0x15 | 0x55))
            {
                assert_eq!(place + 1 + usize::try_from(it.offset).unwrap(), end);
            }
            assert_eq!(program[end..], [set(0, DROP), EXIT]);
        }
    }
}
