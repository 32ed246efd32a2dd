/** Certificates as the two kinds of connections take them. */
import { X509Certificate } from 'node:crypto'
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { EtcdServerOptions } from '@coracle/etcd-api'
import type { TlsMaterial } from '@coracle/transport-tcp'
import { objectionTo, objectionToPlace, type Resolver, systemResolver } from './admission.ts'
import type { Material } from './certificates.ts'
import type { TlsConfig } from './tls-config.ts'

type ClientSecurity = Required<Pick<EtcdServerOptions, 'tls' | 'checkClient'>>

/** For connections of clients. */
export function clientSecurity(config: TlsConfig, { listening }: Material): ClientSecurity {
  const { requiresCertificate } = config
  return {
    tls: {
      ...listening,
      requestCert: requiresCertificate,
      rejectUnauthorized: requiresCertificate,
    },
    checkClient(socket) {
      const objection = objectionOf(socket, config)
      if (objection !== null) throw new Error(objection)
    },
  }
}

/** For connections between members, in both directions. */
export function peerSecurity(
  config: TlsConfig,
  { listening, calling }: Material,
  resolver: Resolver = systemResolver,
): TlsMaterial & Required<Pick<TlsMaterial, 'checkServerIdentity' | 'whenCalling'>> {
  return {
    ...listening,
    requestCert: config.requiresCertificate,
    // As in etcd: certificates that every member makes for itself hide what is said, and prove nothing.
    rejectUnauthorized: config.selfSigned === null,
    whenCalling: { crl: undefined, ...calling },
    ...(config.serverName === null ? {} : { servername: config.serverName }),
    checkServerIdentity: (host, certificate) => checkPeer(host, certificate, config),
    async checkCaller(socket) {
      const objection = objectionOf(socket, config) ?? (await placeOf(socket, config, resolver))
      if (objection !== null) throw new Error(objection)
    },
  }
}

function checkPeer(host: string, shown: PeerCertificate, config: TlsConfig): Error | undefined {
  const wrong = checkServerIdentity(host, shown)
  if (wrong !== undefined || config.selfSigned !== null) return wrong
  const objection = objectionTo(new X509Certificate(shown.raw), config)
  return objection === null ? undefined : new Error(objection)
}

/** Nothing is shown where nothing is asked for. */
function objectionOf(socket: TLSSocket, config: TlsConfig): string | null {
  const certificate = socket.getPeerX509Certificate()
  if (certificate !== undefined) return objectionTo(certificate, config)
  return config.requiresCertificate ? 'no certificate was shown' : null
}

async function placeOf(
  socket: TLSSocket,
  { checksCallerAddress }: TlsConfig,
  resolver: Resolver,
): Promise<string | null> {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined || !checksCallerAddress) return null
  // Whoever comes by a socket in the file system has no address, and is on this host.
  return objectionToPlace(certificate, socket.remoteAddress ?? '127.0.0.1', resolver)
}
