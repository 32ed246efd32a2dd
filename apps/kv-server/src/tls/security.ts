/** All certificates of a member, and what becomes of new ones. */
import type { ConnectionOptions } from 'node:tls'
import type { EtcdServer, EtcdServerOptions } from '@coracle/etcd-api'
import type { TcpTransport, TcpTransportOptions } from '@coracle/transport-tcp'
import type { ServerConfig } from '../config.ts'
import type { Log } from '../log.ts'
import { type Certificates, openCertificates } from './certificates.ts'
import { clientSecurity, peerSecurity } from './connections.ts'

export interface Security extends Disposable {
  /** For the server of clients. */
  readonly forClients: Pick<EtcdServerOptions, 'tls' | 'checkClient' | 'onRefused'>
  /** For the transport between members. */
  readonly forPeers: Pick<TcpTransportOptions, 'tls' | 'mixed'>
  /** How this member asks others, as of now. Null: without TLS. */
  askingPeers(): ConnectionOptions | null
  /** From now on, the server shows new certificates as soon as there are some. */
  renewClients(server: Pick<EtcdServer, 'setSecureContext'>): void
  /** The same for the transport. */
  renewPeers(transport: Pick<TcpTransport, 'renewTls'>): void
}

/** Rejects with a sentence if files are missing or make no sense. */
export async function openSecurity(
  { clientTls, peerTls }: Pick<ServerConfig, 'clientTls' | 'peerTls'>,
  log: Log,
): Promise<Security> {
  const clients = clientTls === null ? null : await openCertificates(clientTls, { log })
  try {
    const peers = peerTls === null ? null : await openCertificates(peerTls, { log })
    return new MemberSecurity({ clients, peers }, log)
  } catch (error) {
    clients?.[Symbol.dispose]()
    throw error
  }
}

interface Parts {
  readonly clients: Certificates | null
  readonly peers: Certificates | null
}

class MemberSecurity implements Security {
  readonly forClients: Security['forClients']
  readonly forPeers: Security['forPeers']
  readonly #clients: Certificates | null
  readonly #peers: Certificates | null

  constructor({ clients, peers }: Parts, log: Log) {
    this.#clients = clients
    this.#peers = peers
    this.forClients =
      clients === null
        ? {}
        : { ...clientSecurity(clients.config, clients.material), onRefused: reportTo(log) }
    this.forPeers =
      peers === null
        ? {}
        : // Each place that is listened on says itself whether TLS is spoken there.
          { tls: peerSecurity(peers.config, peers.material), mixed: { listen: 'plain' } }
  }

  askingPeers(): ConnectionOptions | null {
    if (this.#peers === null) return null
    const { config, material } = this.#peers
    const {
      whenCalling,
      checkServerIdentity,
      rejectUnauthorized = true,
      servername,
    } = peerSecurity(config, material)
    const named = servername === undefined ? {} : { servername }
    return { ...whenCalling, ...named, checkServerIdentity, rejectUnauthorized }
  }

  renewClients(server: Pick<EtcdServer, 'setSecureContext'>): void {
    this.#clients?.onRenewed(({ listening }) => server.setSecureContext(listening))
  }

  renewPeers(transport: Pick<TcpTransport, 'renewTls'>): void {
    const { config } = this.#peers ?? {}
    if (config === undefined) return
    this.#peers?.onRenewed((material) => transport.renewTls(peerSecurity(config, material)))
  }

  [Symbol.dispose](): void {
    this.#clients?.[Symbol.dispose]()
    this.#peers?.[Symbol.dispose]()
  }
}

function reportTo(log: Log): NonNullable<EtcdServerOptions['onRefused']> {
  return (error, { remoteAddress = 'unknown', remotePort = 0 }) =>
    log.warn(
      { 'remote-addr': `${remoteAddress}:${remotePort}`, error: error.message },
      'rejected connection',
    )
}
