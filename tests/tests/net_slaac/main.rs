//! `www::net::slaac`: checks of addresses, and router advertisements good and hostile, under a
//! simulated clock; then in the stack.

mod alone;
mod link;
mod stack;
