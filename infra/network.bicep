// Virtual network for the app's outgoing connections, and private DNS zones for storage and vault.
param token string
param location string
param tags object
param addressPrefix string
param hasSmtp bool

var zoneNames = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  vault: 'privatelink.vaultcore.azure.net'
}
var storageServices = ['blob', 'queue', 'table']
var subnets = [
  {
    // Delegated to Flex Consumption, which runs the app here; no other resource may use it.
    name: 'app'
    addressPrefix: cidrSubnet(addressPrefix, 25, 0)
    delegation: 'Microsoft.App/environments'
  }
  {
    name: 'endpoints'
    addressPrefix: cidrSubnet(addressPrefix, 26, 2)
    privateEndpointNetworkPolicies: 'Disabled'
  }
]
var smtpSubnets = [
  {
    // Delegated to Container Apps, which needs at least 32 addresses.
    name: 'smtp'
    addressPrefix: cidrSubnet(addressPrefix, 27, 6)
    delegation: 'Microsoft.App/environments'
  }
]

module network 'br/public:avm/res/network/virtual-network:0.10.1' = {
  name: 'virtual-network'
  params: {
    name: 'vnet-relay-${token}'
    location: location
    tags: tags
    addressPrefixes: [addressPrefix]
    subnets: hasSmtp ? concat(subnets, smtpSubnets) : subnets
  }
}

module storageZones 'br/public:avm/res/network/private-dns-zone:0.8.1' = [
  for service in storageServices: {
    name: 'dns-${service}'
    params: {
      name: zoneNames[service]
      tags: tags
      virtualNetworkLinks: [{ virtualNetworkResourceId: network.outputs.resourceId }]
    }
  }
]

module vaultZone 'br/public:avm/res/network/private-dns-zone:0.8.1' = {
  name: 'dns-vault'
  params: {
    name: zoneNames.vault
    tags: tags
    virtualNetworkLinks: [{ virtualNetworkResourceId: network.outputs.resourceId }]
  }
}

output appSubnetId string = network.outputs.subnetResourceIds[0]
output smtpSubnetId string = hasSmtp ? network.outputs.subnetResourceIds[2] : ''
output storageEndpoints array = [
  for (service, number) in storageServices: {
    name: 'pe-${service}-${token}'
    service: service
    subnetResourceId: network.outputs.subnetResourceIds[1]
    privateDnsZoneGroup: {
      privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: storageZones[number].outputs.resourceId }]
    }
  }
]
output packageEndpoints array = [
  {
    name: 'pe-package-${token}'
    service: 'blob'
    subnetResourceId: network.outputs.subnetResourceIds[1]
    privateDnsZoneGroup: {
      privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: storageZones[0].outputs.resourceId }]
    }
  }
]
output vaultEndpoints array = [
  {
    name: 'pe-vault-${token}'
    subnetResourceId: network.outputs.subnetResourceIds[1]
    privateDnsZoneGroup: {
      privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: vaultZone.outputs.resourceId }]
    }
  }
]
