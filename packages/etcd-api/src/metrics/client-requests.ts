/** Which clients ask: how many calls come from which version of etcd's API. */
import type { Registry } from 'prom-client'
import type { Call } from '../call.ts'
import { counters, type Sample } from './collect.ts'

/** Calls of clients of one version. */
interface Requests {
  unary: number
  stream: number
}

export interface ClientRequests {
  /** Where a call counts. */
  of(call: Call): Requests
}

/** What etcd calls the version of a client that tells none, such as one that speaks JSON. */
const UNKNOWN = 'unknown'
/** A client may say anything: what is longer, or one version too many, is unknown as well. */
const MOST_CHARACTERS = 32
const MOST_VERSIONS = 100

export function clientRequests(registry: Registry): ClientRequests {
  const requests = new ByVersion()
  counters(
    registry,
    {
      name: 'etcd_server_client_requests_total',
      help: 'Calls, by what their clients say of themselves.',
      labels: ['type', 'client_api_version'],
    },
    () => requests.samples(),
  )
  return requests
}

class ByVersion implements ClientRequests {
  readonly #all = new Map<string, Requests>()
  /** Most calls come from a client like that of the call before. */
  #version: string | null = null
  #requests: Requests = { unary: 0, stream: 0 }

  of(call: Call): Requests {
    const version = call.metadata('client-api-version') ?? UNKNOWN
    if (version !== this.#version) {
      this.#requests = this.#find(version)
      this.#version = version
    }
    return this.#requests
  }

  samples(): Sample[] {
    return [...this.#all].flatMap(([version, { unary, stream }]) => {
      const both: Sample[] = [
        [unary, 'unary', version],
        [stream, 'stream', version],
      ]
      return both.filter(([count]) => count > 0)
    })
  }

  #find(version: string): Requests {
    const found = this.#all.get(version)
    if (found !== undefined) return found
    const isTooMuch = version.length > MOST_CHARACTERS || this.#all.size >= MOST_VERSIONS
    if (isTooMuch && version !== UNKNOWN) return this.#find(UNKNOWN)
    const requests = { unary: 0, stream: 0 }
    this.#all.set(version, requests)
    return requests
  }
}
