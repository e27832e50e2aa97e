// SPDX-License-Identifier: GPL-2.0

//! Recirculation in hardware: chains of rules.
//!
//! A flow with a recirculation id is a rule in a chain, and an action that
//! recirculates goes to one. A packet that finds no rule there comes back with
//! the number of the chain that it got to, and goes on in software with the
//! recirculation id that the chain stands for.
//!
//! The number is not that id: a datapath has ids of its own, and drivers know
//! of one space of numbers. The numbers that are given out here are far above
//! those that TC gets from userspace, which are recirculation ids as they are,
//! counted from 1. Each is given out once in 64 million times, and is known for
//! some seconds after its last rule went, for packets that are on their way.

use core::sync::atomic::{
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        rcu,
        Mutex, //
    },
};

use kernel_ext::{
    net::tc_skb_ext,
    rcu_table::RcuTable,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
    time::boot_msecs, //
};

use super::reason::Reason;
use crate::{
    datapath::Datapath,
    offload_ops::Restored, //
};

/// The first number that is given out, and how many there are. Userspace and
/// TC use 28 bits at most.
const FIRST: u32 = 0x0c00_0000;
const N: u32 = 0x0400_0000;

/// How long a number is known after its last rule went, in milliseconds.
const LINGER: u64 = 5000;

/// A chain: a recirculation id of a datapath.
pub(super) struct Chain {
    number: u32,
    recirc_id: u32,
    dp: RcuArc<Datapath>,
    /// Rules that are in it or go to it.
    users: AtomicUsize,
    /// When the last of them went, in milliseconds since boot.
    idle_since: AtomicU64,
}

/// A rule's use of a chain.
pub(super) struct ChainUse(RcuArc<Chain>);

impl ChainUse {
    /// What drivers know the chain by.
    pub(super) fn number(&self) -> u32 {
        self.0.number
    }
}

impl Drop for ChainUse {
    fn drop(&mut self) {
        self.0.idle_since.store(boot_msecs(), Ordering::Relaxed);
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

/// All chains.
pub(super) struct Chains {
    by_number: RcuTable<Chain>,
    by_id: RcuTable<Chain>,
    /// The number that was given out last, from [`FIRST`] on. Chains are made
    /// and forgotten with this locked.
    last: Pin<KBox<Mutex<u32>>>,
}

/// Spreads numbers over the bits that tables look at.
fn hash(number: u64) -> u64 {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);

    hash ^ hash >> 32
}

fn hash_of_id(dp: &Datapath, recirc_id: u32) -> u64 {
    hash(core::ptr::from_ref(dp).addr() as u64 ^ u64::from(recirc_id).rotate_left(40))
}

impl Chain {
    fn hash_of_number(&self) -> u64 {
        hash(self.number.into())
    }

    fn hash_of_id(&self) -> u64 {
        hash_of_id(&self.dp, self.recirc_id)
    }
}

impl Chains {
    /// No chains.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            by_number: RcuTable::new(16)?,
            by_id: RcuTable::new(16)?,
            last: KBox::pin_init(new_mutex!(0, "Chains::last"), GFP_KERNEL)?,
        })
    }

    /// How many chains are known.
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// The chain of a recirculation id, which is made if there is none. May
    /// sleep. Refuses on a kernel where packets cannot come back from chains.
    pub(super) fn of(&self, dp: &RcuArc<Datapath>, recirc_id: u32) -> Result<ChainUse, Reason> {
        if !tc_skb_ext::AVAILABLE {
            return Err(Reason::NoChains);
        }
        let mut last = self.last.lock();
        let hash = hash_of_id(dp, recirc_id);
        let found = self.by_id.find_arc(hash, |chain| {
            chain.recirc_id == recirc_id && RcuArc::ptr_eq(&chain.dp, dp)
        });
        if let Some(chain) = found {
            chain.users.fetch_add(1, Ordering::Relaxed);
            return Ok(ChainUse(chain));
        }

        let number = self.free_after(*last);
        let chain = RcuArc::new(
            Chain {
                number: FIRST.wrapping_add(number),
                recirc_id,
                dp: dp.clone(),
                users: AtomicUsize::new(1),
                idle_since: AtomicU64::new(0),
            },
            GFP_KERNEL,
        )?;
        self.by_id.insert(hash, chain.clone(), Chain::hash_of_id)?;
        let hash = chain.hash_of_number();
        if let Err(err) = self
            .by_number
            .insert(hash, chain.clone(), Chain::hash_of_number)
        {
            self.by_id.remove(chain.hash_of_id(), &chain);
            return Err(err.into());
        }
        *last = number;
        tc_skb_ext::enable();
        Ok(ChainUse(chain))
    }

    /// The next number, counted from [`FIRST`], that no chain has.
    fn free_after(&self, last: u32) -> u32 {
        let mut number = last;

        loop {
            number = number.wrapping_add(1) % N;
            let known = FIRST.wrapping_add(number);
            let taken = |chain: &Chain| chain.number == known;
            // There are fewer chains than rules, and fewer rules than numbers.
            if self.by_number.find_arc(hash(known.into()), taken).is_none() {
                return number;
            }
        }
    }

    /// What a packet goes on with that hardware brought back from a chain, for
    /// this datapath.
    pub(super) fn restore(&self, rcu: RcuRead<'_>, dp: &Datapath, number: u32) -> Restored {
        if number.wrapping_sub(FIRST) >= N {
            return Restored::NotOurs;
        }
        let found = self.by_number.find(hash(number.into()), rcu, |chain| {
            chain.number == number && core::ptr::eq(&raw const *chain.dp, dp)
        });
        found.map_or(Restored::Lost, |chain| Restored::Recirc(chain.recirc_id))
    }

    /// Forgets chains that have had no rule for a while, or have none.
    pub(super) fn forget(&self, now: u64, linger: bool) {
        if self.len() == 0 {
            return;
        }
        let _last = self.last.lock();
        let mut next = Some(0);
        while let Some(start) = next {
            let mut old = None;
            {
                let guard = rcu::read_lock();

                next = self.by_number.walk(start, RcuRead::from(&guard), |chain| {
                    if old.is_some() {
                        return false;
                    }
                    if chain.is_old(now, linger) {
                        old = Some(chain.number);
                    }
                    true
                });
            }
            let Some(number) = old else {
                continue;
            };
            let is_it = |chain: &Chain| chain.number == number;
            if let Some(chain) = self.by_number.find_arc(hash(number.into()), is_it) {
                self.by_number.remove(chain.hash_of_number(), &chain);
                self.by_id.remove(chain.hash_of_id(), &chain);
                tc_skb_ext::disable();
            }
        }
    }
}

impl Chain {
    fn is_old(&self, now: u64, linger: bool) -> bool {
        let idle = now.saturating_sub(self.idle_since.load(Ordering::Relaxed));

        self.users.load(Ordering::Acquire) == 0 && (!linger || idle >= LINGER)
    }
}
