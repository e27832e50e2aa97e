// SPDX-License-Identifier: GPL-2.0

//! Event, completion, send and receive queues as the model keeps them.

use crate::ring::Ring;

/// Event queue.
#[derive(Debug)]
pub struct Eq {
    pub ring: Ring,
    pub log_size: u32,
    pub vector: u16,
    /// Event types it takes, lowest type in bit 0 of the first word.
    pub mask: [u64; 4],
    pub producer: u32,
    /// What the driver last said that it has read up to.
    pub consumer: u32,
    pub armed: bool,
}

/// Completion queue.
#[derive(Debug)]
pub struct Cq {
    pub ring: Ring,
    pub log_size: u32,
    pub eqn: u32,
    /// Doorbell record: consumer index, then the arm command.
    pub dbr: u64,
    pub producer: u32,
    pub consumer: u32,
    pub armed: bool,
    /// May be overrun: the driver never reads it.
    pub overrun_ignore: bool,
    pub users: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Reset,
    Ready,
    Error,
}

impl State {
    pub fn from_ifc(v: u64) -> Option<Self> {
        match v {
            0 => Some(Self::Reset),
            1 => Some(Self::Ready),
            3 => Some(Self::Error),
            _ => None,
        }
    }
}

/// Send queue.
#[derive(Debug)]
pub struct Sq {
    pub ring: Ring,
    pub log_size: u32,
    pub dbr: u64,
    pub cqn: u32,
    pub tisn: u32,
    pub state: State,
    /// Next work queue entry, in units of 64 bytes.
    pub index: u16,
    pub packets: u64,
}

/// Receive queue, cyclic.
#[derive(Debug)]
pub struct Rq {
    pub ring: Ring,
    pub log_size: u32,
    pub log_stride: u32,
    pub dbr: u64,
    pub cqn: u32,
    pub counter: u32,
    pub vlan_strip: bool,
    pub state: State,
    pub index: u16,
    pub packets: u64,
    pub out_of_buffer: u64,
}

/// Transport interface receive: where a flow rule sends a packet.
#[derive(Debug, Clone)]
pub struct Tir {
    pub spread: Spread,
}

#[derive(Debug, Clone)]
pub enum Spread {
    Direct {
        rqn: u32,
    },
    Indirect {
        rqt: u32,
        toeplitz: bool,
        key: [u8; 40],
        symmetric: bool,
        fields: u32,
        l3_v6: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub struct Mkey {
    pub physical: bool,
    pub start: u64,
    /// `None`: all of the address space.
    pub len: Option<u64>,
}
