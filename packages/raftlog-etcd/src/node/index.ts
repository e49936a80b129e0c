export { allowClearText, type EtcdClientOptions } from './endpoints.ts'
export { etcdClient } from './etcd-client.ts'
export { createEtcdLog, type EtcdLogOptions, openEtcdLog } from './open-log.ts'
