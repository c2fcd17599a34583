# A thin face over cargo, mir and scripts/. `make help` lists what there is.

SITE ?= www/site
PORT ?= 8080
DIST := dist
CARGO_TARGET_DIR ?= target
RELEASE := $(CARGO_TARGET_DIR)/release
MIR := $(DIST)/mir
# What is made here does not depend on a mir.toml. Programs and guest are compiled by mir.
MADE = --no-file --site $(SITE) --dist $(DIST)

# Every target but the files of dist/, which are quick to make anew: cargo and mir know what has changed.
.PHONY: help build run xen xen-run fat test check clean tools

help:
	@echo 'make build      dist/mir-www, the site as a program for Unix, and dist/mir, the tool'
	@echo 'make tools      dist/mir and dist/fat alone, to configure and build with: docs/tutorial.md'
	@echo 'make run        build, then serve the site at http://localhost:$(PORT)/'
	@echo 'make xen        dist/mir-www.xen, the site as a Xen guest, and dist/www.xl to start it with'
	@echo 'make xen-run    the guest under real Xen in QEMU, at http://localhost:$(PORT)/'
	@echo 'make fat        build and xen, with the site on two FAT images, dist/files.img and dist/pages.img, and dist/www-fat.xl'
	@echo 'make test       everything, the boot under real Xen included'
	@echo 'make check      formatting, lints and the fast tests'
	@echo 'make clean      remove what was built; the packages for xen-run stay in .cache/'
	@echo
	@echo 'SITE=DIR serves another folder of Markdown, PORT=N another port.'

tools:
	@scripts/need rust
	cargo build --release --bin mir
	@mkdir -p $(DIST)
	@cp -f $(RELEASE)/mir $(MIR)
	@ln -sf mir $(DIST)/fat

build: tools
	$(MIR) build $(MADE) -t unix

run: build
	$(DIST)/mir-www --http-port=$(PORT)

xen: tools
	$(MIR) build $(MADE) -t xen

fat: build xen
	scripts/make-fat-images.sh $(SITE) $(DIST)
	@$(MIR) xl $(MADE) -t xen --kv_ro fat --write $(DIST)/www-fat.xl
	@echo 'Serve it here: $(DIST)/mir-www --kv_ro=fat --files=$(DIST)/files.img --pages=$(DIST)/pages.img'

xen-run: xen
	scripts/xen-run $(PORT)

test:
	scripts/test

check:
	@scripts/need rust
	cargo fmt --all --check
	scripts/lint
	cargo test --workspace --lib --bins

clean:
	cargo clean
	rm -rf $(DIST)
