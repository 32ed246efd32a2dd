/** Nodes that listen in a network, and remember what their transports tell of it. */
import type { Peer } from '../types.ts'
import type { TransportEvent } from '../transport/event.ts'
import type { NetworkTransport } from '../transport/network-transport.ts'
import type { NetworkTransportOptions } from '../transport/options.ts'
import type { TestFunction } from './check.ts'
import { eventually, Member } from './transport-cluster.ts'

/** A key and a certificate that vouches for itself, both in PEM. */
export interface Certified {
  readonly key: string
  readonly cert: string
}

/** As much of TLS as the suite asks for. All of it means what it does to Node's `tls`. */
export interface SuiteTls extends Certified {
  /** The certificates that are trusted, one after the other. */
  readonly ca: string
  readonly checkServerIdentity?: (host: string) => Error | undefined
  /** Looks at who calls, after the handshake; rejects to refuse the connection. */
  readonly checkCaller?: (caller: SecureCaller) => Promise<void>
  /** What is shown where this node calls. */
  readonly whenCalling?: Certified
}

export interface SecureCaller {
  getPeerX509Certificate(): { readonly subject: string } | undefined
}

export type SuiteOptions = NetworkTransportOptions<SuiteTls>
export type OpenNetworkTransport = (options: SuiteOptions) => NetworkTransport<SuiteTls>

/** What the suite needs to know of a transport over a network, and of the machine. */
export interface NetworkTransportConformance {
  /** Registers a test, as the runner of your choice does. */
  readonly test: TestFunction
  readonly open: OpenNetworkTransport
  /** An address of 127.0.0.1 at which nobody listens. */
  readonly vacantAddress: () => Promise<string>
  /** A path in the file system at which nothing is, and a socket can be. */
  readonly vacantPath: () => Promise<string>
  readonly isThere: (path: string) => boolean
  /** A new key, and a certificate by it that says `name` may be found at this IPv4 address. */
  readonly certify: (name: string, ip: string) => Certified
}

export const ANY_PORT = { host: '127.0.0.1', port: 0 }

export class NetworkNode extends Member<NetworkTransport<SuiteTls>> {
  readonly events: TransportEvent[]

  constructor(id: string, transport: NetworkTransport<SuiteTls>, events: TransportEvent[]) {
    super(id, transport)
    this.events = events
  }

  get address(): string {
    return this.transport.address()
  }

  /** From now on it knows these and no others. */
  meet(...peers: readonly Peer[]): void {
    this.transport.setPeers(peers)
  }

  has(type: TransportEvent['type']): boolean {
    return this.events.some((event) => event.type === type)
  }

  /** Waits until it gives a peer up for now, and answers with its first reason. */
  async whyUnreachable(peer: Peer): Promise<string> {
    this.meet(peer)
    await eventually('the peer is unreachable', () => this.has('peer-unreachable'))
    const [why = ''] = this.events.flatMap((event) =>
      event.type === 'peer-unreachable' ? event.why : [],
    )
    return why
  }
}

/** Makes the nodes of one test, which end with it. */
export class NetworkNodes implements AsyncDisposable {
  readonly #open: OpenNetworkTransport
  readonly #nodes: NetworkNode[] = []

  constructor(open: OpenNetworkTransport) {
    this.#open = open
  }

  async start(id: string, options: Partial<SuiteOptions> = {}): Promise<NetworkNode> {
    const events: TransportEvent[] = []
    const trace = (event: TransportEvent): void => void events.push(event)
    const own = { id, cluster: 'test', listen: ANY_PORT, trace, ...options }
    const node = new NetworkNode(id, this.#open(own), events)
    this.#nodes.push(node)
    await node.start()
    return node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { transport } of this.#nodes) await transport[Symbol.asyncDispose]()
  }
}

/** Registers a test that gets nodes of its own. */
export type Networked = (name: string, body: (nodes: NetworkNodes) => Promise<void>) => void

export function networked(test: TestFunction, open: OpenNetworkTransport): Networked {
  return (name, body) =>
    test(name, async () => {
      await using nodes = new NetworkNodes(open)
      await body(nodes)
    })
}
