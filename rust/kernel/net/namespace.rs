// SPDX-License-Identifier: GPL-2.0

//! Network namespaces and what a module keeps for each of them.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicBool,
        AtomicPtr,
        Ordering, //
    },
};

use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

use super::netdevice::NetDevice;
use crate::{
    bindings,
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    },
};

/// A network namespace.
///
/// A reference is given out only where the namespace is known to be in use: by
/// a callback on it, by a socket of it, or by a device in it. It has not been
/// torn down then, or is being torn down by the very callback.
///
/// # Invariants
///
/// The content is a valid `struct net`.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

// SAFETY: A namespace is used from all CPUs; what is called on it here has its
// own locking.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    /// Borrows a namespace from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a` and not be past its teardown.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::net) -> &'a Self {
        // SAFETY: By the function's safety requirement; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// The namespace that the system came up with. C: `init_net`.
    pub fn init() -> &'static Self {
        // SAFETY: It exists for as long as the kernel runs.
        unsafe { Self::from_raw(&raw const bindings::init_net) }
    }

    /// The id that `peer` has in this namespace; one is made if there is none.
    /// C: `peernet2id_alloc()`. A negative number is an error.
    pub fn peernet2id_alloc(&self, peer: &Net, gfp: kernel::alloc::Flags) -> i32 {
        // SAFETY: Both are valid by the type invariants.
        unsafe { bindings::peernet2id_alloc(self.as_raw(), peer.as_raw(), crate::gfp::as_raw(gfp)) }
    }

    /// Calls `f` with each namespace until it gives something, and gives that.
    ///
    /// `f` runs with the lock of the list of namespaces held for reading; it
    /// may sleep, but must not take the rtnl lock. C: `for_each_net()` between
    /// `down_read(&net_rwsem)` and `up_read(&net_rwsem)`.
    pub fn find_map<R>(mut f: impl FnMut(&Net) -> Option<R>) -> Option<R> {
        let head = &raw mut bindings::net_namespace_list;
        let mut found = None;
        // SAFETY: The lock is static and initialised; it may be waited for,
        // which callers know.
        unsafe { bindings::down_read(&raw mut bindings::net_rwsem) };
        // SAFETY: The lock is held, so the list does not change.
        let mut entry = unsafe { (*head).next };
        while entry != head && found.is_none() {
            // SAFETY: Every entry of the list is the `list` of a namespace,
            // which is taken off the list before it is torn down.
            let net = unsafe { Net::from_raw(kernel::container_of!(entry, bindings::net, list)) };
            found = f(net);
            // SAFETY: As above.
            entry = unsafe { (*entry).next };
        }
        // SAFETY: The lock was taken above.
        unsafe { bindings::up_read(&raw mut bindings::net_rwsem) };
        found
    }
}

/// Two are equal if they are the same one. C: `net_eq()`.
impl PartialEq for Net {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Net {}

/// A reference to a namespace, which cannot go while there is one.
///
/// # Invariants
///
/// The namespace is in use, and one of its references belongs to this object.
pub struct NetRef(NonNull<Net>);

// SAFETY: A reference may be dropped anywhere; `Net` is `Send` and `Sync`.
unsafe impl Send for NetRef {}
// SAFETY: As above.
unsafe impl Sync for NetRef {}

impl Deref for NetRef {
    type Target = Net;

    #[inline]
    fn deref(&self) -> &Net {
        // SAFETY: By the type invariants.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for NetRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants a reference is owned.
        unsafe { bindings::put_net(self.0.as_ptr().cast()) };
    }
}

/// What all handles of a namespace have of it, see [`NetHandle`].
///
/// # Invariants
///
/// `net` is null or that of a namespace whose `exit` has not returned. `used` is
/// set if there is a handle, or was one.
struct NetLife {
    net: AtomicPtr<bindings::net>,
    used: AtomicBool,
}

impl NetLife {
    /// `exit` is about to return: nobody finds the namespace any more, and who
    /// has found it is done. Waits for a grace period.
    fn end(&self) {
        // As to the order: who has read the pointer before this has a handle,
        // and the flag was set before that.
        self.net.store(ptr::null_mut(), Ordering::SeqCst);
        if self.used.load(Ordering::SeqCst) {
            // SAFETY: May be called from any context that may sleep.
            unsafe { bindings::synchronize_rcu() };
        }
    }
}

/// What an object keeps to find the namespace that it belongs to, as C's
/// `possible_net_t`: no reference to it. See [`Pernet::handle`].
///
/// An object that belongs to a namespace must not keep it from going away. It
/// has to go itself when the namespace does, which is what
/// [`PernetOperations::exit`] is for. Somebody may have a reference to the object
/// for longer: the handle leads to nothing then.
#[derive(Clone)]
pub struct NetHandle {
    /// Which one it is, to be compared and nothing else.
    id: *const bindings::net,
    life: RcuArc<NetLife>,
}

// SAFETY: The pointer is not followed.
unsafe impl Send for NetHandle {}
// SAFETY: As above.
unsafe impl Sync for NetHandle {}

impl NetHandle {
    /// The namespace, unless it has been torn down. That waits for readers.
    #[inline]
    pub fn get<'g>(&self, _rcu: RcuRead<'g>) -> Option<&'g Net> {
        let net = self.life.net.load(Ordering::SeqCst);
        if net.is_null() {
            return None;
        }
        // SAFETY: By the type invariants of `NetLife`, `exit` has not returned,
        // and will not for as long as the RCU read lock is held: it clears the
        // pointer and waits for a grace period before.
        Some(unsafe { Net::from_raw(net) })
    }

    /// The namespace, with a reference to it for who may sleep; nothing if it is
    /// about to go away. C: `maybe_get_net()`.
    pub fn hold(&self) -> Option<NetRef> {
        let guard = rcu::read_lock();
        let net = self.get(RcuRead::from(&guard))?;
        // SAFETY: The namespace is valid.
        let net = unsafe { bindings::maybe_get_net(net.as_raw()) };
        // INVARIANT: If it is not null, a reference was taken.
        NonNull::new(net.cast::<Net>()).map(NetRef)
    }

    /// Whether it is this namespace.
    #[inline]
    pub fn is(&self, net: &Net) -> bool {
        ptr::eq(self.id, net.as_raw())
    }

    /// Whether the device is in the namespace.
    #[inline]
    pub fn has(&self, dev: &NetDevice) -> bool {
        ptr::eq(self.id, dev.net_ptr())
    }
}

/// What a module does when namespaces come and go. C: `struct
/// pernet_operations`.
#[vtable]
pub trait PernetOperations: Sized + 'static {
    /// What is kept for each namespace.
    type Data: Send + Sync + 'static;

    /// The `static` that these operations are registered with.
    fn pernet() -> &'static Pernet<Self>;

    /// A namespace has come up, or the operations have just been registered.
    ///
    /// May sleep. An error keeps the namespace from being made.
    fn init(net: &Net) -> Result<RcuArc<Self::Data>>;

    /// A namespace is about to go away; called for all of a batch, before a
    /// common grace period. May sleep.
    fn pre_exit(_net: &PreExit<'_>, _data: &Self::Data) {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// A namespace goes away, or the operations are unregistered. May sleep.
    ///
    /// [`Pernet::get`] finds the data until this returns; the data go when
    /// nothing refers to them any more, after a grace period.
    fn exit(net: &Exit<'_>, data: &Self::Data);
}

/// A namespace for which [`PernetOperations::pre_exit`] is being called.
///
/// # Invariants
///
/// A grace period will have passed when any `exit` is called for this namespace.
pub struct PreExit<'a>(&'a Net);

impl Deref for PreExit<'_> {
    type Target = Net;

    #[inline]
    fn deref(&self) -> &Net {
        self.0
    }
}

/// A namespace for which [`PernetOperations::exit`] is being called.
///
/// # Invariants
///
/// A grace period has passed since any `pre_exit` was called for this namespace.
pub struct Exit<'a>(&'a Net);

impl Deref for Exit<'_> {
    type Target = Net;

    #[inline]
    fn deref(&self) -> &Net {
        self.0
    }
}

/// A value of one namespace that is read under RCU until the namespace goes away,
/// and that is dropped in process context then: the drop may sleep.
///
/// The value is detached in `pre_exit` and taken in `exit`; between them generic
/// code waits for a grace period (`ops_undo_list()`), once for all namespaces
/// that go away together.
///
/// # Invariants
///
/// Each pointer is null or comes from [`KBox::into_raw`], and they are not the
/// same; readers find the value of `current` only. What is in `detached` has
/// been moved there with a [`PreExit`] of `net`.
pub struct PernetSlot<T: Send + Sync> {
    /// Whose it is, to be compared and nothing else.
    net: *const bindings::net,
    current: AtomicPtr<T>,
    detached: AtomicPtr<T>,
    _value: PhantomData<KBox<T>>,
}

// SAFETY: It owns a `KBox<T>`, and gives out shared references to it.
unsafe impl<T: Send + Sync> Send for PernetSlot<T> {}
// SAFETY: As above; the pointer to the namespace is not followed.
unsafe impl<T: Send + Sync> Sync for PernetSlot<T> {}

impl<T: Send + Sync> PernetSlot<T> {
    /// A place with `value` in it, for `net`.
    pub fn new(net: &Net, value: KBox<T>) -> Self {
        // INVARIANT: It comes from `into_raw()`, and nothing is detached.
        Self {
            net: net.as_raw(),
            current: AtomicPtr::new(KBox::into_raw(value)),
            detached: AtomicPtr::new(ptr::null_mut()),
            _value: PhantomData,
        }
    }

    /// The value, or nothing once the namespace is going away.
    #[inline]
    pub fn get<'g>(&'g self, _rcu: RcuRead<'g>) -> Option<&'g T> {
        // SAFETY: By the type invariants the pointer is null or valid. The value
        // is freed by a drop of `self`, which is borrowed, or by `take()`. By the
        // invariants, that has an `Exit` of the namespace that the value was
        // detached with a `PreExit` of, so a grace period is between both, and
        // the read lock has been held since before the value was detached.
        unsafe { self.current.load(Ordering::Acquire).as_ref() }
    }

    /// Takes the value from the readers to come. Does nothing if the place is
    /// not `net`'s.
    pub fn detach(&self, net: &PreExit<'_>) {
        if !ptr::eq(self.net, net.as_raw()) {
            return;
        }
        let value = self.current.swap(ptr::null_mut(), Ordering::AcqRel);
        if !value.is_null() {
            // INVARIANT: The pointer moves, with a `PreExit` of `self.net`.
            // Nothing is put into `current`, so there was nothing here.
            self.detached.store(value, Ordering::Release);
        }
    }

    /// The value that was detached. Nothing if the place is not `net`'s.
    pub fn take(&self, net: &Exit<'_>) -> Option<KBox<T>> {
        if !ptr::eq(self.net, net.as_raw()) {
            return None;
        }
        let value = self.detached.swap(ptr::null_mut(), Ordering::AcqRel);
        if value.is_null() {
            return None;
        }
        // SAFETY: By the type invariants it comes from `into_raw()`, and it is
        // taken back once. Nobody reads it, see `get()`.
        Some(unsafe { KBox::from_raw(value) })
    }
}

impl<T: Send + Sync> Drop for PernetSlot<T> {
    fn drop(&mut self) {
        for slot in [&mut self.current, &mut self.detached] {
            let value = *slot.get_mut();
            if !value.is_null() {
                // SAFETY: As in `take()`. Whoever reads the value borrows `self`.
                drop(unsafe { KBox::from_raw(value) });
            }
        }
    }
}

/// What there is for one [`Pernet`] in each namespace. All zeroes is one that is
/// empty.
///
/// # Invariants
///
/// `life` is of this namespace.
struct Place<T: Send + Sync + 'static> {
    data: RcuSlot<T>,
    life: RcuSlot<NetLife>,
}

impl<T: Send + Sync + 'static> Place<T> {
    /// There is nothing any more, and no handle leads to the namespace. May wait
    /// for a grace period.
    fn end(&self) {
        self.data.replace(None);
        if let Some(life) = self.life.replace(None) {
            life.end();
        }
    }
}

/// Per-namespace operations and the place of their data, for a `static`.
///
/// # Invariants
///
/// While registered, `ops` is linked into C's list and `id` holds what C gave.
/// In each namespace, the generic pointer of `id` leads to a [`Place`], which is
/// zeroed memory before `init`, hence empty.
pub struct Pernet<T: PernetOperations> {
    ops: Opaque<bindings::pernet_operations>,
    id: UnsafeCell<kernel::ffi::c_uint>,
    registered: AtomicBool,
    _ops: PhantomData<fn() -> T>,
}

// SAFETY: After registration, which happens once at a time, only C changes it.
unsafe impl<T: PernetOperations> Sync for Pernet<T> {}

impl<T: PernetOperations> Pernet<T> {
    /// Operations that are not registered yet.
    pub const fn new() -> Self {
        Self {
            ops: Opaque::uninit(),
            id: UnsafeCell::new(0),
            registered: AtomicBool::new(false),
            _ops: PhantomData,
        }
    }

    /// Registers the operations; `init` is called for each namespace.
    /// C: `register_pernet_device()`.
    ///
    /// May sleep. Fails with `EBUSY` if they are registered already, and with
    /// whatever `init` failed with.
    pub fn register(&'static self) -> Result<PernetRegistration<T>> {
        if self.registered.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        let ops = bindings::pernet_operations {
            init: Some(Self::init_callback),
            pre_exit: if T::HAS_PRE_EXIT {
                Some(Self::pre_exit_callback)
            } else {
                None
            },
            exit: Some(Self::exit_callback),
            id: self.id.get(),
            size: size_of::<Place<T::Data>>(),
            ..Default::default()
        };
        // SAFETY: The flag above makes this the only writer, and C has no
        // pointer to it yet, or no longer.
        unsafe { self.ops.get().write(ops) };
        // SAFETY: `ops` is static and initialised.
        if let Err(e) = to_result(unsafe { bindings::register_pernet_device(self.ops.get()) }) {
            self.registered.store(false, Ordering::Release);
            return Err(e);
        }
        Ok(PernetRegistration(self))
    }

    /// The place of a namespace's data. C: `net_generic()`.
    #[inline]
    fn place<'a>(&self, net: &'a Net) -> Option<&'a Place<T::Data>> {
        // SAFETY: Read from any context; C writes it once, before the first
        // callback.
        let id = unsafe { self.id.get().read_volatile() };
        if id == 0 {
            return None;
        }
        // SAFETY: The place is looked for within the array's bounds: one that
        // `init` has not been called for need not have it. C gave the id, so by
        // the type invariants the pointer is null or leads to a slot, which
        // lives as long as the namespace is in use.
        unsafe {
            bindings::net_generic(net.as_raw(), id)
                .cast::<Place<T::Data>>()
                .as_ref()
        }
    }

    /// The data of a namespace; nothing before `init` and after `exit`.
    #[inline]
    pub fn get<'g>(&self, net: &Net, rcu: RcuRead<'g>) -> Option<&'g T::Data> {
        self.place(net)?.data.get(rcu)
    }

    /// The data of a namespace, with a reference to them.
    #[inline]
    pub fn load(&self, net: &Net) -> Option<RcuArc<T::Data>> {
        self.place(net)?.data.load()
    }

    /// As [`Self::load`], of the namespace that an object belongs to.
    pub fn load_of(&self, net: &NetHandle) -> Option<RcuArc<T::Data>> {
        let guard = rcu::read_lock();
        self.load(net.get(RcuRead::from(&guard))?)
    }

    /// What an object of this namespace keeps to find it; nothing before `init`
    /// and after `exit`.
    pub fn handle(&self, net: &Net) -> Option<NetHandle> {
        let life = self.place(net)?.life.load()?;
        // Before anything is done with it, see `NetLife::end()`.
        life.used.store(true, Ordering::SeqCst);
        Some(NetHandle {
            id: net.as_raw(),
            life,
        })
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, with a namespace that is being set up.
    unsafe extern "C" fn init_callback(net: *mut bindings::net) -> kernel::ffi::c_int {
        from_result(|| {
            // SAFETY: C calls this with a namespace that is being set up.
            let net = unsafe { Net::from_raw(net) };
            let place = T::pernet().place(net).ok_or(EINVAL)?;
            // INVARIANT: `exit` will be called for it, or `init` fails.
            let life = NetLife {
                net: AtomicPtr::new(net.as_raw()),
                used: AtomicBool::new(false),
            };
            place.life.replace(Some(RcuArc::new(life, GFP_KERNEL)?));
            match T::init(net) {
                Ok(data) => {
                    place.data.replace(Some(data));
                    Ok(0)
                }
                Err(e) => {
                    place.end();
                    Err(e)
                }
            }
        })
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, with a namespace that is being torn down.
    unsafe extern "C" fn pre_exit_callback(net: *mut bindings::net) {
        // SAFETY: C calls this with a namespace that is being torn down.
        let net = unsafe { Net::from_raw(net) };
        if let Some(data) = T::pernet().load(net) {
            // INVARIANT: `ops_undo_list()` waits for a grace period after all
            // calls of `pre_exit` and before those of `exit`. A namespace is torn
            // down, or operations are taken from it, by one caller at a time.
            T::pre_exit(&PreExit(net), &data);
        }
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, with a namespace that is being torn down.
    unsafe extern "C" fn exit_callback(net: *mut bindings::net) {
        // SAFETY: As above.
        let net = unsafe { Net::from_raw(net) };
        if let Some(place) = T::pernet().place(net) {
            if let Some(data) = place.data.load() {
                // INVARIANT: As in `pre_exit_callback()`.
                T::exit(&Exit(net), &data);
            }
            place.end();
        }
    }
}

impl<T: PernetOperations> Default for Pernet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The operations are registered for as long as this lives.
///
/// Dropping it calls `exit` for every namespace and may sleep; what the data's
/// last references free is freed after an `rcu_barrier()` by the module.
pub struct PernetRegistration<T: PernetOperations>(&'static Pernet<T>);

impl<T: PernetOperations> Drop for PernetRegistration<T> {
    fn drop(&mut self) {
        // SAFETY: `register()` has registered them.
        unsafe { bindings::unregister_pernet_device(self.0.ops.get()) };
        // SAFETY: C no longer uses the id, and all callbacks are done.
        unsafe { self.0.id.get().write_volatile(0) };
        self.0.registered.store(false, Ordering::Release);
    }
}
