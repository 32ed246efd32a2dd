import type { Command, StateMachine } from '@coracle/raft-core'
import { CodecError } from '@coracle/raft-core/codec'
import { type Access, accessOf } from './auth-access.ts'
import { AuthObservers, changeAuth } from './auth-commands.ts'
import { AuthStore } from './auth-store.ts'
import type { Auth, AuthObserver, AuthRequest, Identity } from './auth-types.ts'
import {
  changeAlarm,
  type ClusterState,
  EMPTY_CLUSTER,
  publishMember,
  refusalByAlarm,
  forgetMembers,
  setDowngrade,
} from './cluster-state.ts'
import { decodeCommand, identityOf } from './command-codec.ts'
import { countedSnapshot, Counts, type KvCounts } from './counts.ts'
import { hashChanges, hashStore, type KvHash } from './hash.ts'
import { BytePool } from './byte-pool.ts'
import { bytesOf } from './key.ts'
import {
  checkpointLeases,
  grantLease,
  type LeaseObserver,
  LeaseObservers,
  renewLeases,
  revokeLease,
} from './lease-commands.ts'
import { byId } from './leases.ts'
import { checkRevision, deleteRange, readRange } from './range.ts'
import { readSnapshot, type Restored, writeSnapshot } from './snapshot.ts'
import { Store, type SweepPace } from './store.ts'
import { checkLease, checkPut, executeTxn, isReadOnly, put, readTxn } from './txn.ts'
import type { WatchCounts, WatchStream, WatchStreamOptions } from './watch.ts'
import { type ReplayPace, WatchHub } from './watch-hub.ts'
import type {
  Alarm,
  AlarmRequest,
  CompactRequest,
  KvCommand,
  KvFailure,
  KvResult,
  Lease,
  MemberAttributes,
  NewClusterRequest,
  PutRequest,
  RangeRequest,
  RangeResult,
  TxnRequest,
  TxnResult,
} from './types.ts'

/**
 * The replicated key-value store and what a server may ask it without going through the log. The
 * reads see the last command that was applied; whether that is new enough is the caller's to know.
 */
export interface KvStateMachine extends StateMachine<KvResult> {
  /** The revision of the last change; 1 for a store that never held anything. */
  readonly revision: number
  /** Nothing below this revision can be read; -1 if nothing was ever compacted. */
  readonly compactRevision: number
  /** How many keys exist. */
  readonly keyCount: number
  /** About how much memory the store takes, in bytes. */
  readonly size: number
  /** About how much of {@link size} holds what can still be read. */
  readonly sizeInUse: number
  /** What was asked of it, on this member and since it was made. */
  readonly counts: KvCounts

  apply(commands: readonly Command[]): readonly KvResult[]

  /** Reads an interval. Fails with FUTURE_REVISION or COMPACTED. Values are views: do not write to them. */
  range(request: RangeRequest): RangeResult | KvFailure
  /** Carries out a transaction that only reads. Throws a TypeError if any branch holds anything but ranges. */
  readTxn(request: TxnRequest): TxnResult | KvFailure
  /** A checksum of all that is stored: keys, history, members. Equal on nodes that applied the same. */
  hash(): number
  /** etcd's HashKV: a checksum of the history up to `revision`, 0 or less for all of it. */
  hashKv(revision: number): KvHash | KvFailure
  /** What each member last said about itself, ordered by id. */
  members(): readonly MemberAttributes[]
  /** What is wrong, ordered by member. As long as something is, some commands are refused. */
  alarms(): readonly Alarm[]
  /** The version that the cluster is being taken back to; empty if it is not. */
  readonly downgradeTarget: string
  /**
   * Puts memory in order that compaction left in pieces: a little with each call, so that others get
   * their turn in between. Answers whether there is more to do. Nothing that can be read changes.
   */
  tidySome(): boolean
  /** All leases, ordered by id. */
  leases(): readonly Lease[]
  /** The lease with this id, or null. */
  lease(id: bigint): Lease | null
  /** The keys attached to a lease, in order; none if there is no such lease. */
  keysOfLease(id: bigint): readonly Uint8Array[]
  /** Tells of every change to a lease from now on, until the returned function is called. */
  followLeases(observer: LeaseObserver): () => void
  /** How many watchers there are, on how many streams, and how many of them read the history. */
  watchCounts(): WatchCounts
  /** Users and roles. */
  readonly auth: Auth
  /** What somebody (null: nobody in particular) may do, by the state at the moment of asking. */
  accessOf(identity: Identity | null): Access
  /** Tells of everything that happens to tokens from now on, until the returned function is called. */
  followAuth(observer: AuthObserver): () => void
  /** Opens a stream of watchers. They outlive a restore and end with the stream. */
  watchStream(options: WatchStreamOptions): WatchStream
}

/**
 * A compaction answers at once and frees memory afterwards. These set the pace; nothing else that
 * can be seen depends on them, so nodes need not agree on them.
 */
export interface KvStateMachineOptions {
  /** How many of the changes that a compaction covers it looks at before it answers. Default 10,000. */
  readonly sweepAtOnce?: number
  /** How many it looks at with each command that follows, from 1. Default 16. */
  readonly sweepPerCommand?: number
  /** How many past changes all watchers together look at in one turn of catching up. Default 1,000. */
  readonly replayPerTurn?: number
  /** Past events are told in batches of about this many bytes, and whole revisions. Default 256 KiB. */
  readonly replayBatchBytes?: number
}

/** A key-value store with etcd's semantics that lives in memory. */
export function kvStateMachine(options: KvStateMachineOptions = {}): KvStateMachine {
  const { sweepAtOnce = 10_000, sweepPerCommand = 16 } = options
  const { replayPerTurn = 1_000, replayBatchBytes = 256 * 1024 } = options
  checkWhole({ sweepAtOnce }, 0)
  checkWhole({ sweepPerCommand, replayPerTurn, replayBatchBytes }, 1)
  return new KvMachine(
    { atOnce: sweepAtOnce, perCommand: sweepPerCommand },
    { changesPerTurn: replayPerTurn, batchBytes: replayBatchBytes },
  )
}

function checkWhole(options: Readonly<Record<string, number>>, least: number): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`${name} is ${value}, not a whole number from ${least}`)
    }
  }
}

const pool = new BytePool()

class KvMachine implements KvStateMachine {
  readonly durableIndex = 0
  readonly counts: Counts = new Counts()
  readonly #pace: SweepPace
  #store: Store
  #cluster: ClusterState = EMPTY_CLUSTER
  readonly #leaseObservers = new LeaseObservers()
  #auth = new AuthStore()
  readonly #authObservers = new AuthObservers()
  readonly #watches: WatchHub

  constructor(pace: SweepPace, replayPace: ReplayPace) {
    this.#pace = pace
    this.#store = new Store(pace, this.counts)
    this.#watches = new WatchHub(this.#store, replayPace)
  }

  get revision(): number {
    return this.#store.revision
  }

  get compactRevision(): number {
    return this.#store.compactRevision
  }

  get keyCount(): number {
    return this.#store.keyCount
  }

  get size(): number {
    return this.#store.size
  }

  get sizeInUse(): number {
    return this.#store.sizeInUse
  }

  apply(commands: readonly Command[]): readonly KvResult[] {
    return commands.map((command) => {
      const decoded = tryDecode(command.data)
      if (decoded === null) return failure('UNKNOWN_COMMAND')
      // Without authentication nobody is asked: this is the path that every plain put takes.
      const refusal =
        (this.#auth.enabled ? this.#refusalOf(decoded, command.data) : null) ??
        refusalByAlarm(this.#cluster, decoded)
      const result = refusal === null ? this.#carryOut(decoded, command.index) : failure(refusal)
      this.counts.endTxn()
      this.#store.commit()
      this.#watches.publish()
      this.#store.sweepSome()
      return result
    })
  }

  range(request: RangeRequest): RangeResult | KvFailure {
    this.counts.ranges += 1
    this.counts.endTxn()
    const code = checkRevision(this.#store, request.revision)
    return code === null ? readRange(this.#store, request) : failure(code)
  }

  readTxn(request: TxnRequest): TxnResult | KvFailure {
    if (!isReadOnly(request)) throw new TypeError('the transaction does not only read')
    const result = readTxn(this.#store, request)
    this.counts.endTxn()
    return result
  }

  hash(): number {
    return hashStore(this.#store, this.#cluster, this.#auth.freeze())
  }

  hashKv(revision: number): KvHash | KvFailure {
    const code = checkRevision(this.#store, revision)
    return code === null ? hashChanges(this.#store, revision) : failure(code)
  }

  members(): readonly MemberAttributes[] {
    return [...this.#cluster.members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  alarms(): readonly Alarm[] {
    return this.#cluster.alarms
  }

  get downgradeTarget(): string {
    return this.#cluster.downgradeTarget
  }

  tidySome(): boolean {
    return this.#store.tidySome()
  }

  leases(): readonly Lease[] {
    return [...this.#store.leases.all()].sort(byId)
  }

  lease(id: bigint): Lease | null {
    return this.#store.leases.get(id)
  }

  keysOfLease(id: bigint): readonly Uint8Array[] {
    return this.#store.leases.keysOf(id).map((key) => bytesOf(key, pool))
  }

  followLeases(observer: LeaseObserver): () => void {
    return this.#leaseObservers.add(observer)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const chunks = writeSnapshot(this.#store.freeze(), this.#cluster, this.#auth.freeze())
    return countedSnapshot(this.counts, chunks)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { store, cluster, auth } = await this.#read(chunks)
    this.#store = store
    this.#cluster = cluster
    this.#auth = auth
    this.#leaseObservers.restored()
    // Which tokens had ended by then, a snapshot does not say.
    this.#authObservers.reset()
    this.#watches.replaceStore(store)
  }

  async #read(chunks: AsyncIterable<Uint8Array>): Promise<Restored> {
    this.counts.isRestoring = true
    try {
      return await readSnapshot(chunks, new Store(this.#pace, this.counts))
    } finally {
      this.counts.isRestoring = false
    }
  }

  watchCounts(): WatchCounts {
    return this.#watches.counts()
  }

  get auth(): Auth {
    return this.#auth
  }

  accessOf(identity: Identity | null): Access {
    return accessOf(this.#auth, this.#store.leases, identity)
  }

  followAuth(observer: AuthObserver): () => void {
    return this.#authObservers.add(observer)
  }

  watchStream(options: WatchStreamOptions): WatchStream {
    return this.#watches.openStream(options)
  }

  #refusalOf(command: KvCommand, data: Uint8Array): KvFailure['code'] | null {
    const identity = identityOf(data)
    if (identity === 'member') return null
    return accessOf(this.#auth, this.#store.leases, identity).command(command)
  }

  #carryOut(command: KvCommand, index: number): KvResult {
    switch (command.type) {
      case 'put':
        return this.#put(command.request)
      case 'delete-range':
        return deleteRange(this.#store, command.request)
      case 'txn':
        return executeTxn(this.#store, command.request)
      case 'compact':
        return this.#compact(command.request)
      case 'publish-member':
        this.#cluster = publishMember(this.#cluster, command.request)
        return { type: 'publish-member', revision: this.#store.revision }
      case 'forget-members':
        this.#cluster = forgetMembers(this.#cluster, command.request)
        return { type: 'forget-members', revision: this.#store.revision }
      case 'alarm':
        return this.#changeAlarm(command.request)
      case 'downgrade':
        this.#cluster = setDowngrade(this.#cluster, command.request)
        return { type: 'downgrade', revision: this.#store.revision }
      case 'new-cluster':
        return this.#beginCluster(command.request)
      case 'lease-grant':
        return grantLease(this.#store, command.request, this.#leaseObservers)
      case 'lease-revoke':
        return revokeLease(this.#store, command.request, this.#leaseObservers)
      case 'lease-renew':
        return renewLeases(this.#store, command.request, this.#leaseObservers)
      case 'lease-checkpoint':
        return checkpointLeases(this.#store, command.request, this.#leaseObservers)
      case 'auth':
        return this.#changeAuth(command.request, index)
    }
  }

  #changeAuth(request: AuthRequest, index: number): KvResult {
    const outcome = changeAuth(this.#auth, request, { index, observer: this.#authObservers })
    if (outcome.code !== null) return failure(outcome.code)
    return { type: 'auth', token: outcome.token, revision: this.#store.revision }
  }

  /** etcd looks for the lease first here, and for the key first in a transaction. */
  #put(request: PutRequest): KvResult {
    const code = checkLease(this.#store, request.lease) ?? checkPut(this.#store, request)
    if (code === null) return put(this.#store, request)
    if (code === 'KEY_NOT_FOUND') this.counts.ranges += 1
    return failure(code)
  }

  #changeAlarm(request: AlarmRequest): KvResult {
    const { cluster, changed } = changeAlarm(this.#cluster, request)
    this.#cluster = cluster
    return { type: 'alarm', changed, revision: this.#store.revision }
  }

  #beginCluster({ bumpRevision }: NewClusterRequest): KvResult {
    if (!Number.isSafeInteger(this.#store.revision + bumpRevision))
      return failure('FUTURE_REVISION')
    this.#cluster = EMPTY_CLUSTER
    if (bumpRevision > 0) this.#store.skipAhead(bumpRevision)
    return { type: 'new-cluster', revision: this.#store.revision }
  }

  #compact({ revision }: CompactRequest): KvResult {
    const store = this.#store
    if (revision <= store.compactRevision) return failure('COMPACTED')
    if (revision > store.revision) return failure('FUTURE_REVISION')
    store.compact(revision)
    // etcd reads a key to learn the revision for its answer.
    this.counts.ranges += 1
    return { type: 'compact', revision: store.revision }
  }
}

function tryDecode(bytes: Uint8Array): KvCommand | null {
  try {
    return decodeCommand(bytes)
  } catch (error) {
    if (error instanceof CodecError) return null
    throw error
  }
}

function failure(code: KvFailure['code']): KvFailure {
  return { type: 'failure', code }
}
