/** The parts that a configuration asks for. */
import type { Socket } from 'node:net'
import type { Transport } from '@coracle/raft-core'
import { type LevelDbStorage, levelStorage } from '@coracle/storage-level'
import { type GrpcEvent, grpcTransport } from '@coracle/transport-grpc'
import { type TcpEvent, tcpTransport } from '@coracle/transport-tcp'
import type { ServerConfig } from './config.ts'
import { storageLocation } from './identity.ts'
import type { Log } from './log.ts'

export function storageOf(config: ServerConfig): LevelDbStorage {
  return levelStorage({ location: storageLocation(config), fsync: config.fsync })
}

/** Connections of members that ask rather than take part go to `onHttp`. */
export function transportOf(
  config: ServerConfig,
  log: Log,
  onHttp: (socket: Socket) => void,
): Transport {
  const options = {
    id: config.member.nodeId,
    // Members of another cluster may know this address from better days.
    cluster: config.clusterId.toString(16),
    listen: config.listenPeers,
    onHttp,
    trace: (event: TcpEvent | GrpcEvent) => logPeerEvent(log, event),
  }
  return config.peerTransport === 'grpc' ? grpcTransport(options) : tcpTransport(options)
}

function logPeerEvent(log: Log, { type, ...fields }: TcpEvent | GrpcEvent): void {
  const message = type.replaceAll('-', ' ')
  if (type === 'peer-connected') log.info(fields, message)
  else log.warn(fields, message)
}
