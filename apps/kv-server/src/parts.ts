/** The parts that a configuration asks for. */
import type { Socket } from 'node:net'
import { type LevelDbStorage, levelStorage } from '@coracle/storage-level'
import type { TransportEvent } from '@coracle/raft-core/transport'
import { type GrpcTransport, grpcTransport } from '@coracle/transport-grpc'
import { type TcpTransport, tcpTransport } from '@coracle/transport-tcp'
import type { ServerConfig } from './config.ts'
import { storageLocation } from './identity.ts'
import type { Log } from './log.ts'
import type { Security } from './tls/security.ts'

export function storageOf(config: ServerConfig): LevelDbStorage {
  return levelStorage({ location: storageLocation(config), fsync: config.fsync })
}

export interface TransportParts {
  readonly log: Log
  readonly security: Security
  readonly onHttp: (socket: Socket) => void
}

/** Connections of members that ask rather than take part go to `onHttp`. */
export function transportOf(
  config: ServerConfig,
  { log, security, onHttp }: TransportParts,
): TcpTransport | GrpcTransport {
  const options = {
    id: config.member.nodeId,
    // Members of another cluster may know this address from better days.
    cluster: config.clusterId.toString(16),
    listen: config.listenPeers.map(({ isSecure, ...place }) => ({ ...place, secure: isSecure })),
    onHttp,
    ...security.forPeers,
    trace: (event: TransportEvent) => logPeerEvent(log, event),
  }
  return config.peerTransport === 'grpc' ? grpcTransport(options) : tcpTransport(options)
}

function logPeerEvent(log: Log, { type, ...fields }: TransportEvent): void {
  const message = type.replaceAll('-', ' ')
  if (type === 'peer-connected') log.info(fields, message)
  else log.warn(fields, message)
}
