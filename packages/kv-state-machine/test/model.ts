import type {
  Compare,
  KeyInterval,
  KeyValue,
  KvCommand,
  KvFailure,
  KvResult,
  Lease,
  Operation,
  OperationResult,
  PutRequest,
  RangeRequest,
  RangeResult,
  TxnRequest,
} from '../src/index.ts'
import { text } from './requests.ts'

interface Version extends KeyValue {
  readonly name: string
  readonly deleted: boolean
  readonly sub: number
}

const NOTHING: KeyValue = {
  key: new Uint8Array(0),
  value: new Uint8Array(0),
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: 0n,
}

/** etcd's rules on a plain list of all versions: slow, and short enough to be seen to be right. */
export class Model {
  revision = 1
  compactRevision = -1
  versions: Version[] = []
  leases: Lease[] = []
  renewals = 0
  #sub = 0

  copy(): Model {
    const copy = new Model()
    copy.revision = this.revision
    copy.compactRevision = this.compactRevision
    copy.versions = [...this.versions]
    copy.leases = [...this.leases]
    copy.renewals = this.renewals
    return copy
  }

  apply(command: KvCommand): KvResult {
    this.#sub = 0
    const result = this.#carryOut(command)
    if (this.#sub > 0) this.revision += 1
    this.#sub = 0
    return result
  }

  #carryOut(command: KvCommand): KvResult {
    switch (command.type) {
      case 'put': {
        const { request } = command
        if (!this.#isLease(request.lease)) return fail('LEASE_NOT_FOUND')
        if (this.#putFails(request)) return fail('KEY_NOT_FOUND')
        return this.#operate({ type: 'put', request }) as KvResult
      }
      case 'delete-range':
        return this.#operate(command) as KvResult
      case 'txn': {
        const taken = this.#taken(command.request)
        const code = this.#firstFailure(taken.steps)
        if (code !== null) return fail(code)
        const results = taken.steps.map((step) => this.#runStep(step))
        return { type: 'txn', succeeded: taken.succeeded, results, revision: this.#now }
      }
      case 'compact': {
        const { revision } = command.request
        if (revision <= this.compactRevision) return fail('COMPACTED')
        if (revision > this.revision) return fail('FUTURE_REVISION')
        this.compactRevision = revision
        this.versions = this.versions.filter((version) => this.#survives(version, revision))
        return { type: 'compact', revision: this.revision }
      }
      case 'publish-member':
        return { type: 'publish-member', revision: this.revision }
      case 'auth':
        throw new TypeError('the model knows neither users nor roles')
      case 'lease-grant': {
        const { id, ttl } = command.request
        if (this.#lease(id) !== undefined) return fail('LEASE_EXISTS')
        this.leases.push({ id, ttl, remainingTtl: ttl, renewal: ++this.renewals })
        return { type: 'lease-grant', revision: this.revision }
      }
      case 'lease-revoke': {
        const { id, renewal } = command.request
        const lease = this.#lease(id)
        if (lease === undefined) return fail('LEASE_NOT_FOUND')
        const revoked = renewal === 0 || renewal === lease.renewal
        if (revoked) {
          const modRevision = this.revision + 1
          for (const version of this.attached(id))
            this.#add({ ...version, deleted: true, modRevision, sub: this.#sub })
          this.leases = this.leases.filter((each) => each !== lease)
        }
        return { type: 'lease-revoke', revoked, revision: this.#now }
      }
      case 'lease-renew': {
        const ttls = command.request.ids.map((id) => {
          const lease = this.#lease(id)
          if (lease === undefined) return 0
          const renewed = { ...lease, remainingTtl: lease.ttl, renewal: ++this.renewals }
          this.leases = this.leases.map((each) => (each === lease ? renewed : each))
          return lease.ttl
        })
        return { type: 'lease-renew', ttls, revision: this.revision }
      }
      case 'lease-checkpoint': {
        for (const { id, renewal, remainingTtl } of command.request.checkpoints) {
          this.leases = this.leases.map((each) =>
            each.id === id && each.renewal === renewal && remainingTtl < each.remainingTtl
              ? { ...each, remainingTtl }
              : each,
          )
        }
        return { type: 'lease-checkpoint', revision: this.revision }
      }
      case 'forget-members':
      case 'alarm':
      case 'downgrade':
      case 'new-cluster':
        throw new Error(`${command.type} is not about keys: it has tests of its own`)
    }
  }

  /** What lives and names the lease, in the order of the keys. */
  attached(id: bigint): Version[] {
    const all = { key: new Uint8Array(0), rangeEnd: new Uint8Array(1) }
    return this.#live(all, Infinity).filter((version) => version.lease === id)
  }

  #lease(id: bigint): Lease | undefined {
    return this.leases.find((lease) => lease.id === id)
  }

  #isLease(id: bigint): boolean {
    return id === 0n || this.#lease(id) !== undefined
  }

  range(request: RangeRequest): RangeResult | KvFailure {
    const { revision } = request
    if (revision > this.revision) return fail('FUTURE_REVISION')
    if (revision > 0 && revision < this.compactRevision) return fail('COMPACTED')
    return this.#range(request)
  }

  /** Kept: everything later, and the newest up to there unless it is an earlier tombstone. */
  #survives(version: Version, revision: number): boolean {
    if (version.modRevision > revision) return true
    const upTo = this.versions.filter((v) => v.name === version.name && v.modRevision <= revision)
    return upTo.at(-1) === version && !(version.deleted && version.modRevision < revision)
  }

  get #now(): number {
    return this.revision + (this.#sub > 0 ? 1 : 0)
  }

  #live(interval: KeyInterval, revision: number): Version[] {
    const names = [...new Set(this.versions.map((version) => version.name))].sort()
    return names
      .filter((name) => isIn(name, interval))
      .map((name) =>
        this.versions.filter((v) => v.name === name && v.modRevision <= revision).at(-1),
      )
      .filter((version) => version !== undefined)
      .filter((version) => !version.deleted)
  }

  #newest(key: Uint8Array): Version | undefined {
    return this.#live({ key, rangeEnd: new Uint8Array(0) }, Infinity)[0]
  }

  #range(request: RangeRequest): RangeResult {
    const all = this.#live(request, request.revision > 0 ? request.revision : Infinity)
    const revision = this.#now
    const count = all.length
    if (request.countOnly) return { type: 'range', kvs: [], more: false, count, revision }
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
    const filters = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision]
    const cutsEarly =
      request.limit > 0 && request.sortOrder === 'none' && filters.every((filter) => filter === 0)
    let kvs = cutsEarly ? all.slice(0, request.limit + 1) : all
    kvs = kvs.filter(
      (kv) =>
        (maxModRevision === 0 || kv.modRevision <= maxModRevision) &&
        (minModRevision === 0 || kv.modRevision >= minModRevision) &&
        (maxCreateRevision === 0 || kv.createRevision <= maxCreateRevision) &&
        (minCreateRevision === 0 || kv.createRevision >= minCreateRevision),
    )
    const by = (kv: Version): number | string =>
      ({
        key: kv.name,
        version: kv.version,
        create: kv.createRevision,
        mod: kv.modRevision,
        value: text(kv.value),
      })[request.sortTarget]
    const sign = request.sortOrder === 'descend' ? -1 : 1
    kvs = kvs.toSorted((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0))
    const more = request.limit > 0 && kvs.length > request.limit
    if (more) kvs = kvs.slice(0, request.limit)
    const shown = kvs.map((kv) =>
      request.keysOnly ? { ...pair(kv), value: NOTHING.value } : pair(kv),
    )
    return { type: 'range', kvs: shown, more, count, revision }
  }

  #operate(operation: Exclude<Operation, { type: 'txn' }>): OperationResult {
    switch (operation.type) {
      case 'range':
        return this.#range(operation.request)
      case 'put': {
        const { request } = operation
        const previous = this.#newest(request.key)
        this.#add({
          name: text(request.key),
          deleted: false,
          sub: this.#sub,
          key: request.key,
          value: request.ignoreValue ? (previous ?? NOTHING).value : request.value,
          lease: request.ignoreLease ? (previous ?? NOTHING).lease : request.lease,
          createRevision: previous?.createRevision ?? this.revision + 1,
          modRevision: this.revision + 1,
          version: (previous?.version ?? 0) + 1,
        })
        const prevKv = request.prevKv && previous !== undefined ? pair(previous) : null
        return { type: 'put', prevKv, revision: this.#now }
      }
      case 'delete-range': {
        const { request } = operation
        const gone = this.#live(request, Infinity)
        for (const version of gone) {
          const modRevision = this.revision + 1
          this.#add({ ...version, deleted: true, modRevision, sub: this.#sub })
        }
        const prevKvs = request.prevKv ? gone.map(pair) : []
        return { type: 'delete-range', deleted: gone.length, prevKvs, revision: this.#now }
      }
    }
  }

  #add(version: Version): void {
    this.versions.push(version)
    this.#sub += 1
  }

  #putFails(request: PutRequest): boolean {
    return (request.ignoreValue || request.ignoreLease) && this.#newest(request.key) === undefined
  }

  #taken(request: TxnRequest): Taken {
    const succeeded = request.compare.every((compare) => this.#holds(compare))
    const operations = succeeded ? request.success : request.failure
    const steps = operations.map((operation) =>
      operation.type === 'txn' ? this.#taken(operation.request) : operation,
    )
    return { type: 'taken', succeeded, steps }
  }

  #firstFailure(steps: Taken['steps']): KvFailure['code'] | null {
    for (const step of steps) {
      if (step.type === 'taken') {
        const code = this.#firstFailure(step.steps)
        if (code !== null) return code
      }
      if (step.type === 'put') {
        if (this.#putFails(step.request)) return 'KEY_NOT_FOUND'
        if (!this.#isLease(step.request.lease)) return 'LEASE_NOT_FOUND'
      }
      if (step.type === 'range' && step.request.revision !== 0) {
        if (step.request.revision > this.revision) return 'FUTURE_REVISION'
        if (step.request.revision < this.compactRevision) return 'COMPACTED'
      }
    }
    return null
  }

  #runStep(step: Taken['steps'][number]): OperationResult {
    if (step.type !== 'taken') return this.#operate(step)
    const results = step.steps.map((inner) => this.#runStep(inner))
    return { type: 'txn', succeeded: step.succeeded, results, revision: 0 }
  }

  #holds({ key, rangeEnd, operator, target }: Compare): boolean {
    const found = this.#live({ key, rangeEnd }, Infinity)
    if (found.length === 0 && target.type === 'value') return false
    return (found.length === 0 ? [NOTHING] : found).every((kv) => {
      const stored = {
        version: kv.version,
        create: kv.createRevision,
        mod: kv.modRevision,
        value: text(kv.value),
        lease: kv.lease,
      }[target.type]
      const given = target.type === 'value' ? text(target.value) : target.value
      if (operator === 'equal') return stored === given
      if (operator === 'not-equal') return stored !== given
      return operator === 'less' ? stored < given : stored > given
    })
  }
}

interface Taken {
  readonly type: 'taken'
  readonly succeeded: boolean
  readonly steps: readonly (Exclude<Operation, { type: 'txn' }> | Taken)[]
}

function isIn(name: string, { key, rangeEnd }: KeyInterval): boolean {
  const from = text(key)
  if (rangeEnd.length === 0) return name === from
  const to = text(rangeEnd)
  return name >= from && (to === '\0' || name < to)
}

function pair({ key, value, createRevision, modRevision, version, lease }: KeyValue): KeyValue {
  return { key, value, createRevision, modRevision, version, lease }
}

function fail(code: KvFailure['code']): KvFailure {
  return { type: 'failure', code }
}
