/** A cluster at which founders meet, asked by one of its endpoints after the other. */
import { setTimeout } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { type CallOptions, type ClientTls, type MemberClient, memberClient } from '../client.ts'
import type { DiscoveryEndpoint, DiscoveryService } from '../config/discovery.ts'
import type { Log } from '../log.ts'
import { readAuthorities, readPair } from '../tls/certificates.ts'
import { DiscoveryError } from './srv.ts'

export interface Endpoints extends Disposable {
  /**
   * Resolves with the answer of the first endpoint that has one. As in etcd, it asks for ever: the
   * cluster may be about to start. Rejects with a {@link DiscoveryError} if it refuses this member,
   * and with the signal's reason.
   */
  ask<Answer>(request: Request<Answer>): Promise<Answer>
}

/** It may be made several times, with another client each time. */
export type Request<Answer> = (client: MemberClient, options: CallOptions) => Promise<Answer>

export interface EndpointsOptions {
  readonly log: Log
  readonly signal: AbortSignal
}

const FIRST_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 30_000
/** As in etcd's client: servers send away those who ping more often. */
const MIN_KEEPALIVE_MS = 10_000

/** Rejects with a CertificateError if files are missing or make no sense. */
export async function openEndpoints(
  service: DiscoveryService,
  options: EndpointsOptions,
): Promise<Endpoints> {
  return new Asked(service, await readTls(service), options)
}

class Asked implements Endpoints {
  readonly #service: DiscoveryService
  readonly #tls: ClientTls
  readonly #log: Log
  readonly #signal: AbortSignal
  /** Counts those that were turned away from, round and round. */
  #turn = 0
  /** Null: the endpoint whose turn it is has not answered yet. */
  #client: MemberClient | null = null

  constructor(service: DiscoveryService, tls: ClientTls, { log, signal }: EndpointsOptions) {
    this.#service = service
    this.#tls = tls
    this.#log = log
    this.#signal = signal
  }

  async ask<Answer>(request: Request<Answer>): Promise<Answer> {
    const { length } = this.#service.endpoints
    for (let failures = 1; ; failures++) {
      this.#signal.throwIfAborted()
      const endpoint = this.#endpoint
      try {
        return await this.#askOne(endpoint, request)
      } catch (error) {
        this.#signal.throwIfAborted()
        this.#client?.[Symbol.dispose]()
        this.#client = null
        this.#turn++
        const why = reasonOf(error)
        if (isRefusal(error))
          throw new DiscoveryError(`failed to join discovery cluster (${why})`, { cause: error })
        // All get their turn before anybody waits.
        const rounds = failures / length
        const backoffMs = Number.isInteger(rounds)
          ? Math.min(FIRST_BACKOFF_MS * 2 ** (rounds - 1), MAX_BACKOFF_MS)
          : 0
        this.#log.warn(
          { endpoint: endpoint.address, error: why, 'backoff-ms': backoffMs },
          'retry connecting to discovery service',
        )
        if (backoffMs > 0) await pause(backoffMs, this.#signal)
      }
    }
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]()
    this.#client = null
  }

  get #endpoint(): DiscoveryEndpoint {
    const { endpoints } = this.#service
    return endpoints[this.#turn % endpoints.length] as DiscoveryEndpoint
  }

  async #askOne<Answer>(endpoint: DiscoveryEndpoint, request: Request<Answer>): Promise<Answer> {
    const { dialTimeoutMs, requestTimeoutMs, user } = this.#service
    const options = { timeoutMs: requestTimeoutMs, signal: this.#signal, failsFast: true }
    if (this.#client !== null) return await request(this.#client, options)
    const first = { ...options, timeoutMs: dialTimeoutMs + requestTimeoutMs }
    const client = this.#clientOf(endpoint)
    this.#client = client
    if (user !== null)
      await client.authenticate(user, first).catch((error: unknown) => {
        // As in etcd, a cluster that knows no users is asked by anybody.
        if (codeOf(error) !== status.FAILED_PRECONDITION) throw error
      })
    return await request(client, first)
  }

  #clientOf({ address, isSecure }: DiscoveryEndpoint): MemberClient {
    const { keepaliveMs, keepaliveTimeoutMs } = this.#service
    return memberClient(address, isSecure ? this.#tls : null, {
      keepaliveMs: Math.max(keepaliveMs, MIN_KEEPALIVE_MS),
      keepaliveTimeoutMs,
    })
  }
}

async function readTls(service: DiscoveryService): Promise<ClientTls> {
  const { certificate, trustedCaFile, verifiesCertificates } = service
  return {
    ...(certificate === null ? {} : await readPair(certificate)),
    ...(trustedCaFile === null ? {} : { ca: await readAuthorities(trustedCaFile) }),
    rejectUnauthorized: verifiesCertificates,
  }
}

/** Asking again will not help: the user is unknown, or may not do what is asked. */
function isRefusal(error: unknown): boolean {
  const code = codeOf(error)
  if (code === status.PERMISSION_DENIED) return true
  // Users change while this member waits; asking anew, it is one of those that are there now.
  return code === status.INVALID_ARGUMENT && !reasonOf(error).includes('auth store is old')
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** In the words of the cluster, without gRPC's name of the code. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'details' in error ? String(error.details) : error.message
}

/** Rejects with the signal's reason when it aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
