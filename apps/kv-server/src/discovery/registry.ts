/** Who founds a cluster, by those who meet at another one (etcd's v3 discovery service). */
import { posix } from 'node:path'
import type { DiscoveryService } from '../config/discovery.ts'
import type { InitialMember } from '../config/beginning.ts'
import { type Endpoints, type EndpointsOptions, openEndpoints, pause } from './endpoints.ts'
import { DiscoveryError } from './srv.ts'

/** Where etcd keeps it, too: its members may found a cluster with those from here. */
const PREFIX = '/_etcd/registry'

const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 2_000

/**
 * Registers this member and waits until as many are there as the cluster is to have: they found it, in
 * the order in which they came. Resolves with what each said of itself, `name=url[,name=url]`. Rejects
 * with a {@link DiscoveryError}, or with the signal's reason.
 */
export async function foundersByRegistry(
  service: DiscoveryService,
  itself: InitialMember,
  { log, signal }: EndpointsOptions,
): Promise<readonly string[]> {
  using endpoints = await openEndpoints(service, { log, signal })
  const registry = new Registry(service.token, endpoints)
  const ownKey = registry.keyOf(itself)
  // Before it registers, too: one that comes too late leaves no trace.
  await registry.find(ownKey)
  await registry.register(itself)
  let told = 0
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    const { size, founders } = await registry.find(ownKey)
    if (founders.length !== told)
      log.info({ members: founders }, `found ${founders.length} of ${size} members`)
    if (founders.length === size) return founders
    // Who has just seen somebody come expects the next one soon.
    if (founders.length !== told) pauseMs = FIRST_PAUSE_MS
    told = founders.length
    await pause(pauseMs, signal)
  }
}

interface Found {
  readonly size: number
  /** At most `size`, the first one first. */
  readonly founders: readonly string[]
}

class Registry {
  readonly #directory: string
  readonly #endpoints: Endpoints

  constructor(token: string, endpoints: Endpoints) {
    this.#directory = posix.join(PREFIX, token)
    this.#endpoints = endpoints
  }

  keyOf({ nodeId }: InitialMember): string {
    return `${this.#members}${nodeId}`
  }

  /** Rejects with a {@link DiscoveryError} if all places are taken, none of them by `ownKey`. */
  async find(ownKey: string): Promise<Found> {
    const size = await this.#size()
    const registered = await this.#endpoints.ask((client, options) =>
      client.list(this.#members, { ...options, byCreation: true }),
    )
    // As in etcd, what does not look like a member is none.
    const members = [...registered]
      .map(([key, value]) => ({ key: key.trim(), value: value.trim() }))
      .filter(({ value }) => value.includes('='))
    const founders = members.slice(0, size)
    if (founders.length === size && !founders.some(({ key }) => key === ownKey))
      throw refused(
        'cluster is full',
        `${size} members had registered at ${this.#members} before this one`,
      )
    return { size, founders: founders.map(({ value }) => value) }
  }

  /** Again is fine, for a member that was stopped before it had any data. */
  async register(itself: InitialMember): Promise<void> {
    const value = itself.peerUrls
      .map((url) => `${itself.name}=${url}`)
      .toSorted()
      .join(',')
    const key = this.keyOf(itself)
    const found = await this.#endpoints.ask((client, options) =>
      client.putIfAbsent(key, value, options),
    )
    if (found !== value)
      throw refused('duplicate member', `${key} is ${found}, and this member is ${value}`)
  }

  get #members(): string {
    return `${this.#directory}/members/`
  }

  async #size(): Promise<number> {
    const key = `${this.#directory}/_config/size`
    const text = await this.#endpoints.ask((client, options) => client.get(key, options))
    if (text === null) throw refused('size key not found', `put the number of members at ${key}`)
    const size = /^\+?\d{1,9}$/.test(text) ? Number(text) : 0
    if (size > 0) return size
    throw refused('size key is bad', `${key} must be the number of members, not '${text}'`)
  }
}

/** In etcd's words, and then in more. */
function refused(reason: string, hint: string): DiscoveryError {
  return new DiscoveryError(`failed to join discovery cluster (discovery: ${reason}): ${hint}`)
}
