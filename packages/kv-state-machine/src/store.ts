import { assert } from '@coracle/raft-core'
import { ChangeLog, forEachChange, type Located, type LogView } from './change-log.ts'
import { BytePool } from './byte-pool.ts'
import { Counts } from './counts.ts'
import { type Bounds, bytesOf, type Key } from './key.ts'
import { Leases, type LeasesView } from './leases.ts'
import { type Change, type Sequence, sequenceOf } from './segment.ts'
import { isLive, NO_REF, rank, type Ref, type Root, scan, Tree } from './tree.ts'
import type { KeyValue } from './types.ts'

/** How much of a compaction is done at once, and how much with each later command, in changes. */
export interface SweepPace {
  readonly atOnce: number
  readonly perCommand: number
}

/** What a key takes in the tree and as a string, beside its bytes: an estimate. */
const KEY_OVERHEAD_BYTES = 40

/** So many changes are swept at a time when nobody waits for a command. */
const TIDY_CHANGES = 2_000

const EMPTY = new Uint8Array(0)
const pool = new BytePool()

/** What a put leaves behind. */
export interface Put {
  readonly key: Key
  readonly value: Uint8Array
  readonly lease: bigint
}

/**
 * A compaction answers at once and takes the changes out later, a few with each command, because
 * a pause grows with what is swept. What is left of it: the changes in [next, end).
 */
export interface Sweep {
  readonly next: Sequence
  readonly end: Sequence
  readonly revision: number
}

/** Everything a frozen store needs to be read, shared with the store until that changes it. */
export interface StoreView {
  readonly root: Root
  readonly log: LogView
  readonly revision: number
  readonly compactRevision: number
  readonly sweep: Sweep
  readonly leases: LeasesView
}

/**
 * Many versions of each key: a tree that points at the newest, and the log of all changes, in which
 * each version points at the one before it. As in etcd, revision 1 is the empty store, every
 * request that changes something takes the next revision, and its changes are numbered from 0.
 */
export class Store {
  readonly leases: Leases = new Leases()
  /** They outlive the store if the next one is made with them. */
  readonly counts: Counts
  readonly #tree = new Tree()
  readonly #log = new ChangeLog()
  #revision = 1
  #compactRevision = -1
  #sweep: Sweep = { next: 1, end: 1, revision: -1 }
  /** How many changes the request under way has made. */
  #changes = 0
  #keyBytes = 0
  /** How far {@link tidySome} has come through the log; 0 to begin. */
  #tidied: Sequence = 0

  readonly #pace: SweepPace

  constructor(pace: SweepPace, counts: Counts = new Counts()) {
    this.#pace = pace
    this.counts = counts
  }

  /** Begins a store whose changes come from {@link load}. */
  loadAt(state: { readonly revision: number; readonly compactRevision: number }): void {
    this.#revision = state.revision
    this.#compactRevision = state.compactRevision
  }

  /** The revision before the request under way. */
  get revision(): number {
    return this.#revision
  }

  /** The revision that the request under way reads: one higher as soon as it changed something. */
  get readRevision(): number {
    return this.#revision + (this.#changes > 0 ? 1 : 0)
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  get keyCount(): number {
    return this.#tree.live
  }

  get size(): number {
    return this.#log.allocatedBytes + this.#keyBytes + this.leases.size
  }

  get sizeInUse(): number {
    return this.size - this.#log.freeBytes
  }

  /** The newest version of a key, or none if it does not exist. */
  newest(key: Key): Ref {
    const ref = this.#tree.get(key)
    return isLive(ref) ? ref : NO_REF
  }

  /** The living keys of an interval as of a revision (null: the newest), at most `limit` of them. */
  select(bounds: Bounds, options: { revision: number | null; limit: number }): Ref[] {
    const { revision, limit } = options
    const end = revision === null ? Infinity : this.#log.endOfRevision(revision)
    const refs: Ref[] = []
    const visit = (_key: Key, newest: Ref): boolean => {
      const ref = this.#log.newestBefore(newest, end)
      if (isLive(ref)) refs.push(ref)
      return refs.length < limit
    }
    if (bounds.single) visit(bounds.from, this.#tree.get(bounds.from))
    else scan(this.#tree.root, bounds, visit)
    return refs
  }

  /** How many keys of an interval live as of a revision (null: the newest). */
  count(bounds: Bounds, revision: number | null): number {
    const { root } = this.#tree
    if (revision !== null && revision < this.readRevision) {
      return this.select(bounds, { revision, limit: Infinity }).length
    }
    if (bounds.single) return Number(isLive(this.#tree.get(bounds.from)))
    const below = bounds.to === null ? this.#tree.live : rank(root, bounds.to)
    return Math.max(below - rank(root, bounds.from), 0)
  }

  read(ref: Ref): KeyValue {
    return this.#read(ref, false)
  }

  /** The same without the value. */
  readKey(ref: Ref): KeyValue {
    return this.#read(ref, true)
  }

  #read(ref: Ref, keyOnly: boolean): KeyValue {
    const { segment, slot } = this.#find(ref)
    return {
      key: bytesOf(segment.key(slot), pool),
      value: keyOnly ? EMPTY : segment.value(slot),
      createRevision: segment.createRevision(slot),
      modRevision: segment.main(slot),
      version: segment.version(slot),
      lease: segment.lease(slot),
    }
  }

  put(put: Put): void {
    const ref = this.#log.end * 2
    const previous = this.#tree.set(put.key, ref)
    const main = this.#revision + 1
    const found = previous === NO_REF ? null : this.#find(previous)
    const lived = found !== null && isLive(previous)
    if (previous === NO_REF) this.#keyBytes += put.key.length + KEY_OVERHEAD_BYTES
    this.#log.append(
      {
        key: this.#tree.storedKey,
        main,
        sub: this.#changes,
        tombstone: false,
        createRevision: lived ? found.segment.createRevision(found.slot) : main,
        version: lived ? found.segment.version(found.slot) + 1 : 1,
        lease: put.lease,
        value: put.value,
      },
      previous,
      found,
    )
    this.#reattach(this.#tree.storedKey, lived ? found : null, put.lease)
    this.#changes += 1
  }

  /** Deletes a version that {@link select} answered as the newest. */
  delete(ref: Ref): void {
    const found = this.#find(ref)
    this.#tree.set(found.segment.key(found.slot), this.#log.end * 2 + 1)
    this.#log.append(
      {
        key: this.#tree.storedKey,
        main: this.#revision + 1,
        sub: this.#changes,
        tombstone: true,
        createRevision: 0,
        version: 0,
        lease: 0n,
        value: EMPTY,
      },
      ref,
      found,
    )
    this.#reattach(this.#tree.storedKey, found, 0n)
    this.#changes += 1
  }

  /** Ends the request under way: what it changed becomes one revision. */
  commit(): void {
    if (this.#changes > 0) this.#revision += 1
    this.#changes = 0
  }

  /**
   * From now on nothing below `revision` can be read. Of each key its newest version up to there
   * stays, unless that is a tombstone of an earlier revision.
   */
  compact(revision: number): void {
    this.finishSweep()
    // A tombstone exactly at the last compacted revision was kept: it goes now.
    const next = this.#log.endOfRevision(this.#compactRevision - 1)
    this.#compactRevision = revision
    this.#sweep = { next, end: this.#log.endOfRevision(revision), revision }
    this.#sweepUpTo(this.#pace.atOnce)
  }

  /** Does a little of what compaction left to do. Called once with each command. */
  sweepSome(): void {
    if (this.#sweep.next < this.#sweep.end) this.#sweepUpTo(this.#pace.perCommand)
  }

  finishSweep(): void {
    if (this.#sweep.next < this.#sweep.end) this.#sweepUpTo(Infinity)
  }

  /** Goes on at a revision that much higher, with nothing before it to be read. */
  skipAhead(by: number): void {
    this.#revision += by
    this.compact(this.#revision)
    this.finishSweep()
  }

  /** Goes on with what compaction left to do, then joins what it left in pieces. */
  tidySome(): boolean {
    if (this.#sweep.next < this.#sweep.end) {
      this.#sweepUpTo(TIDY_CHANGES)
      return true
    }
    this.#tidied = this.#log.tidy(this.#tidied)
    return this.#tidied > 0
  }

  freeze(): StoreView {
    return {
      root: this.#tree.freeze(),
      log: this.#log.freeze(),
      revision: this.#revision,
      compactRevision: this.#compactRevision,
      sweep: this.#sweep,
      leases: this.leases.freeze(),
    }
  }

  /** The first place in the log of a later revision. */
  endOfRevision(revision: number): Sequence {
    return this.#log.endOfRevision(revision)
  }

  /** Where a version is written down; null if compaction took it. */
  locate(ref: Ref): Located | null {
    return this.#log.locate(ref)
  }

  /** The first change of a key at or after a place in the log, found without reading the log. */
  oldestChange(key: Key, from: Sequence): Located | null {
    return this.#log.oldestFrom(this.#tree.get(key), from)
  }

  /** The log, for reading only, until the next change. */
  get log(): LogView {
    return this.#log.view
  }

  /** Takes a change over from another store's log. They come in its order. */
  load(change: Change): void {
    const ref = this.#log.end * 2 + (change.tombstone ? 1 : 0)
    const previous = this.#tree.set(change.key, ref)
    if (previous === NO_REF) this.#keyBytes += change.key.length + KEY_OVERHEAD_BYTES
    const found = previous === NO_REF ? null : this.#find(previous)
    const { main, sub, tombstone, createRevision, version, lease, value } = change
    const key = this.#tree.storedKey
    this.#log.append(
      { key, main, sub, tombstone, createRevision, version, lease, value },
      previous,
      found,
    )
    this.#reattach(key, isLive(previous) ? found : null, lease)
  }

  /** A key belongs to the lease that its newest version names, and to no other. */
  #reattach(key: Key, previous: Located | null, lease: bigint): void {
    const before = previous === null ? 0n : previous.segment.lease(previous.slot)
    if (before === lease) return
    if (before !== 0n) this.leases.detach(before, key)
    if (lease !== 0n) this.leases.attach(lease, key)
  }

  #sweepUpTo(limit: number): void {
    const { next, end, revision } = this.#sweep
    const to = Math.min(end, next + limit)
    forEachChange(this.#log.view, { from: next, to }, (segment, slot) => {
      const previous = segment.previous(slot)
      if (previous !== NO_REF) this.#drop(previous)
      if (segment.isTombstone(slot) && segment.main(slot) < revision) {
        const ref = segment.refAt(slot)
        this.#drop(ref)
        this.#forget(segment.key(slot), ref)
      }
    })
    this.#log.reclaim()
    this.#sweep = { next: to, end, revision }
  }

  #drop(ref: Ref): void {
    if (this.#log.markDead(sequenceOf(ref))) this.counts.compactedChanges += 1
  }

  /** Drops a key that has no version but this tombstone. */
  #forget(key: Key, tombstone: Ref): void {
    if (this.#tree.get(key) !== tombstone) return
    this.#tree.remove(key)
    this.#keyBytes -= key.length + KEY_OVERHEAD_BYTES
  }

  #find(ref: Ref): Located {
    const found = this.#log.locate(ref)
    assert(found !== null, 'what the tree points at is in the log')
    return found
  }
}
