//! The console page: two byte rings.
//! [xen/include/public/io/console.h](https://github.com/xen-project/xen/blob/RELEASE-4.17.0/xen/include/public/io/console.h)

use core::ops::Range;

/// What is typed: from the back end to us.
pub const IN: Range<usize> = 0..1024;
/// What is printed: from us to the back end.
pub const OUT: Range<usize> = 1024..3072;
/// Consumed from [`IN`].
pub const IN_CONS: usize = 3072;
/// Produced into [`IN`].
pub const IN_PROD: usize = 3076;
/// Consumed from [`OUT`].
pub const OUT_CONS: usize = 3080;
/// Produced into [`OUT`].
pub const OUT_PROD: usize = 3084;
