/** Which etcd this is: every part of it numbers only, for clients take it apart. */
import { ETCD_STORAGE_VERSION, ETCD_VERSION } from '../version.ts'
import { type Endpoint, json } from './endpoints.ts'

export function versionEndpoint(): Endpoint {
  const cluster = ETCD_VERSION.replace(/\d+$/, '0')
  const versions = {
    etcdserver: ETCD_VERSION,
    etcdcluster: cluster,
    storage: ETCD_STORAGE_VERSION,
  }
  return () => json(200, versions)
}
