//! `www::net::dhcp` against servers of every kind, under a simulated clock; then in the stack.

mod bytes;
mod client;
mod link;
mod stack;
