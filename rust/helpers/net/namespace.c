// SPDX-License-Identifier: GPL-2.0

#include <net/net_namespace.h>
#include <net/netns/generic.h>

/*
 * net_generic(), or NULL where the array has no such place: it is as long as
 * was needed when the namespace was made, and is extended when operations that
 * were registered since then are initialised for it. Before that, or if they
 * never are since another namespace's failed, net_generic() reads behind it.
 */
__rust_helper void *rust_helper_net_generic(const struct net *net, unsigned int id)
{
	struct net_generic *ng;
	void *ptr = NULL;

	rcu_read_lock();
	ng = rcu_dereference(net->gen);
	if (id < ng->s.len)
		ptr = ng->ptr[id];
	rcu_read_unlock();

	return ptr;
}

__rust_helper struct net *rust_helper_maybe_get_net(struct net *net)
{
	return maybe_get_net(net);
}

__rust_helper void rust_helper_put_net(struct net *net)
{
	put_net(net);
}
