/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor of an OVA. The order of elements is that of the schema (DMTF DSP8023; inside Item and
 * System alphabetical), which ESXi insists on.
 */
#include "output/ova_parts.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define CPUS 2
#define MEMORY_MIB 4096
/* The oldest hardware that has secure boot; all that vSphere 6.5 and newer run. */
#define HARDWARE "vmx-13"
/* "Other 3.x or later Linux (64-bit)": the newest that hardware version 13 knows. */
#define OS_TYPE "other3xLinux64Guest"

enum { ID_CPU = 1, ID_MEMORY, ID_SCSI, ID_DISK, ID_NETWORK };

/* Printable ASCII only, so that the text is valid XML whatever the name is. */
static void add_escaped(struct str *text, const char *name)
{
	for (; *name; name++) {
		switch (*name) {
		case '&':
			str_add(text, "&amp;");
			break;
		case '<':
			str_add(text, "&lt;");
			break;
		case '>':
			str_add(text, "&gt;");
			break;
		case '"':
			str_add(text, "&quot;");
			break;
		default:
			str_addf(text, "%c", *name >= ' ' && *name <= '~' ? *name : '_');
		}
	}
}

static void add_package(struct str *text, const struct ovf *ovf)
{
	str_addf(text,
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		 "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\""
		 " xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\""
		 " xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
		 "CIM_ResourceAllocationSettingData\""
		 " xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
		 "CIM_VirtualSystemSettingData\""
		 " xmlns:vmw=\"http://www.vmware.com/schema/ovf\">\n"
		 "  <References>\n"
		 "    <File ovf:href=\"%s\" ovf:id=\"file1\" ovf:size=\"%" PRIu64 "\"/>\n"
		 "  </References>\n"
		 "  <DiskSection>\n"
		 "    <Info>Virtual disks</Info>\n"
		 "    <Disk ovf:capacity=\"%" PRIu64 "\" ovf:capacityAllocationUnits=\"byte\""
		 " ovf:diskId=\"vmdisk1\" ovf:fileRef=\"file1\" ovf:format=\"http://www.vmware.com/"
		 "interfaces/specifications/vmdk.html#streamOptimized\""
		 " ovf:populatedSize=\"%" PRIu64 "\"/>\n"
		 "  </DiskSection>\n"
		 "  <NetworkSection>\n"
		 "    <Info>Logical networks</Info>\n"
		 "    <Network ovf:name=\"VM Network\">\n"
		 "      <Description>The network of the machine</Description>\n"
		 "    </Network>\n"
		 "  </NetworkSection>\n",
		 ovf->disk, ovf->file_size, ovf->capacity, ovf->populated);
}

static void add_system(struct str *text, const char *name)
{
	str_addf(text,
		 "  <VirtualSystem ovf:id=\"%s\">\n"
		 "    <Info>A virtual machine</Info>\n"
		 "    <Name>%s</Name>\n"
		 "    <OperatingSystemSection ovf:id=\"100\" vmw:osType=\"" OS_TYPE "\">\n"
		 "      <Info>The operating system</Info>\n"
		 "      <Description>Linux, 64 bit</Description>\n"
		 "    </OperatingSystemSection>\n"
		 "    <VirtualHardwareSection ovf:transport=\"com.vmware.guestInfo\">\n"
		 "      <Info>Virtual hardware</Info>\n"
		 "      <System>\n"
		 "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n"
		 "        <vssd:InstanceID>0</vssd:InstanceID>\n"
		 "        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>\n"
		 "        <vssd:VirtualSystemType>" HARDWARE "</vssd:VirtualSystemType>\n"
		 "      </System>\n",
		 name, name, name);
}

static void add_computer(struct str *text)
{
	str_addf(text,
		 "      <Item>\n"
		 "        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>\n"
		 "        <rasd:Description>Number of virtual CPUs</rasd:Description>\n"
		 "        <rasd:ElementName>%d virtual CPUs</rasd:ElementName>\n"
		 "        <rasd:InstanceID>%d</rasd:InstanceID>\n"
		 "        <rasd:ResourceType>3</rasd:ResourceType>\n"
		 "        <rasd:VirtualQuantity>%d</rasd:VirtualQuantity>\n"
		 "      </Item>\n"
		 "      <Item>\n"
		 "        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>\n"
		 "        <rasd:Description>Memory size</rasd:Description>\n"
		 "        <rasd:ElementName>%d MB of memory</rasd:ElementName>\n"
		 "        <rasd:InstanceID>%d</rasd:InstanceID>\n"
		 "        <rasd:ResourceType>4</rasd:ResourceType>\n"
		 "        <rasd:VirtualQuantity>%d</rasd:VirtualQuantity>\n"
		 "      </Item>\n",
		 CPUS, ID_CPU, CPUS, MEMORY_MIB, ID_MEMORY, MEMORY_MIB);
}

static void add_devices(struct str *text)
{
	str_addf(text,
		 "      <Item>\n"
		 "        <rasd:Address>0</rasd:Address>\n"
		 "        <rasd:Description>SCSI controller</rasd:Description>\n"
		 "        <rasd:ElementName>SCSI controller 0</rasd:ElementName>\n"
		 "        <rasd:InstanceID>%d</rasd:InstanceID>\n"
		 "        <rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>\n"
		 "        <rasd:ResourceType>6</rasd:ResourceType>\n"
		 "      </Item>\n"
		 "      <Item>\n"
		 "        <rasd:AddressOnParent>0</rasd:AddressOnParent>\n"
		 "        <rasd:ElementName>Hard disk 1</rasd:ElementName>\n"
		 "        <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>\n"
		 "        <rasd:InstanceID>%d</rasd:InstanceID>\n"
		 "        <rasd:Parent>%d</rasd:Parent>\n"
		 "        <rasd:ResourceType>17</rasd:ResourceType>\n"
		 "      </Item>\n"
		 "      <Item>\n"
		 "        <rasd:AddressOnParent>7</rasd:AddressOnParent>\n"
		 "        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>\n"
		 "        <rasd:Connection>VM Network</rasd:Connection>\n"
		 "        <rasd:Description>VmxNet3 network adapter</rasd:Description>\n"
		 "        <rasd:ElementName>Network adapter 1</rasd:ElementName>\n"
		 "        <rasd:InstanceID>%d</rasd:InstanceID>\n"
		 "        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>\n"
		 "        <rasd:ResourceType>10</rasd:ResourceType>\n"
		 "      </Item>\n",
		 ID_SCSI, ID_DISK, ID_SCSI, ID_NETWORK);
}

/* Not required: readers that do not know VMware's elements ask for the firmware themselves. */
static void add_settings(struct str *text)
{
	static const char *const settings[][2] = {
		{"firmware", "efi"},
		{"bootOptions.efiSecureBootEnabled", "false"},
		{"powerOpInfo.powerOffType", "soft"},
		{"powerOpInfo.resetType", "soft"},
		{"tools.syncTimeWithHost", "false"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		str_addf(
			text,
			"      <vmw:Config ovf:required=\"false\" vmw:key=\"%s\" vmw:value=\"%s\"/>\n",
			settings[i][0], settings[i][1]);
}

static size_t digits(uint64_t number)
{
	size_t n = 1;

	while (number >= 10) {
		number /= 10;
		n++;
	}
	return n;
}

void ovf_write(struct str *text, const struct ovf *ovf)
{
	CLEANUP(str_free) struct str name = {0};
	size_t room = 3 * digits(UINT64_MAX) - digits(ovf->file_size) - digits(ovf->capacity) -
		      digits(ovf->populated);

	add_escaped(&name, ovf->name);
	add_package(text, ovf);
	add_system(text, name.data ? name.data : "");
	add_computer(text);
	add_devices(text);
	add_settings(text);
	str_addf(text,
		 "    </VirtualHardwareSection>\n"
		 "  </VirtualSystem>\n"
		 "</Envelope>%*s\n",
		 (int)room, "");
}
