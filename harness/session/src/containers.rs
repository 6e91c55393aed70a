//! What makes places of images, for whoever has no engine for containers at hand but this contract.
//!
//! The implementation, `harness/containers`, brings 134 crates. So nobody depends on it but the command, and there
//! only where it was asked for.

use std::fmt;
use std::sync::Arc;

use matrix::Source;

use crate::BoxFuture;
use crate::sandbox::{Obstacle, Place, PlaceError};

/// Makes places of images: see [`Place`].
pub trait Engine: fmt::Debug + Send + Sync {
    /// The image that a source means. A Dockerfile is built.
    ///
    /// # Errors
    /// There is no engine, or it has no such image, or another one of that name; and what helps.
    fn find(&self, source: &Source) -> Result<Image, Obstacle>;

    /// Starts a container. It ends with its place, whatever happens to this process.
    fn open<'a>(
        &'a self,
        image: &'a Image,
        rights: Rights,
    ) -> BoxFuture<'a, Result<Arc<dyn Place>, PlaceError>>;
}

/// An image that an engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What users call it.
    pub name: String,
    /// The digest of its configuration, by which the engine knows it.
    pub id: String,
    /// The digest that tells what is in it: that of the root file system which it was imported from
    /// ([`ROOT_LABEL`]), else its own.
    pub digest: String,
}

/// The label of an image with the digest of the root file system that it was imported from: `ci/images.sh` sets it.
pub const ROOT_LABEL: &str = "wireskew.root";

/// What the processes of a container may do beside what all may. In a slot they may do all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rights {
    /// What every container may.
    #[default]
    Plain,
    /// Mount, make namespaces and devices, trace, and have a cgroup of version 2 of their own at `/sys/fs/cgroup`: what a
    /// process needs that starts containers itself.
    StartsContainers,
}

/// Where no engine was asked for: no build has an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEngine;

impl Engine for NoEngine {
    fn find(&self, _source: &Source) -> Result<Image, Obstacle> {
        let what = "this wireskew was built without containers";
        Err(Obstacle::new(what, "cargo run --release --features containers -- …"))
    }

    fn open<'a>(
        &'a self,
        _image: &'a Image,
        _rights: Rights,
    ) -> BoxFuture<'a, Result<Arc<dyn Place>, PlaceError>> {
        let why = "this wireskew was built without containers".to_owned();
        Box::pin(async { Err(PlaceError::Refused { what: "start a container", why }) })
    }
}
