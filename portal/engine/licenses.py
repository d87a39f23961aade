"""License products by SKU id (docs/microsoft-graph.md, 7.4): Graph has part numbers only, people want names. Pure.

Keyed by sku id: part numbers repeat and hold stray blanks. Names are the vendor's, August 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "00e1ec7b-e4a3-40d1-9441-b69b597ab222": "Microsoft 365 Business Premium (no Teams)",
    "05e9a617-0261-4cee-bb44-138d3ef5d965": "Microsoft 365 E3",
    "061f9ace-7d42-4136-88ac-31dc755f143f": "Intune",
    "06ebc4ee-1bb5-47dd-8120-11324bc54e06": "Microsoft 365 E5",
    "078d2b04-f1bd-4111-bbd4-b4b1b354cef4": "Microsoft Entra ID P1",
    "0c266dff-15dd-4b49-8397-2bb16070ed52": "Microsoft 365 Audio Conferencing",
    "111046dd-295b-4d6d-9724-d52ac90bd1f2": "Microsoft Defender for Endpoint",
    "11dee6af-eca8-419f-8061-6864517c1875": "Microsoft 365 Domestic Calling Plan (120 min)",
    "135bee78-485b-4181-ad6e-40286e311850": "Windows 365 Business 2 vCPU 4 GB 128 GB",
    "16a55f2f-ff35-4cd5-9146-fb784e3761a5": "Microsoft Defender for Endpoint P1",
    "16ddbbfc-09ea-4de2-b1d7-312db6112d70": "Microsoft Teams (Free)",
    "18181a46-0d4e-45cd-891e-60aabd171b4e": "Office 365 E1",
    "184efa21-98c3-4e5d-95ab-d07053a96e67": "Microsoft 365 E5 Compliance",
    "18a4bd3f-0b5b-4887-b04f-61dd0ee15f5e": "Microsoft 365 E5 (no Teams)",
    "19ec0d23-8335-4cbd-94ac-6050e30712fa": "Exchange Online (Plan 2)",
    "1fc08a02-8b3d-43b9-831e-f76859e04e1a": "SharePoint Online (Plan 1)",
    "21502a13-c8dc-4744-be9c-177fd9d2eafc": "Microsoft 365 Business Basic (no Teams)",
    "26124093-3d78-432b-b5dc-48bf992543d5": "Microsoft 365 E5 Security",
    "2880026b-2b0c-4251-8656-5d41ff11e3aa": "Dynamics 365 Business Central Essentials",
    "295a8eb0-f78d-45c7-8b5b-1eed5ed02dff": "Microsoft Teams Shared Devices",
    "2b317a4a-77a6-4188-9437-b68a77b4e2c6": "Microsoft Intune Device",
    "314c4481-f395-4525-be8b-2ec4bb1e9d91": "Office 365 A1 for students",
    "32b47245-eb31-44fc-b945-a8b1576c439f": "Microsoft 365 F5 Security + Compliance Add-on",
    "36a0f3b3-adb5-49ea-bf66-762134cf063a": "Microsoft Teams Premium Introductory Pricing",
    "3ab6abff-666f-4424-bfb7-f0bc274ec7bc": "Microsoft Teams Essentials (AAD Identity)",
    "3b555118-da6a-4418-894f-7df1e2096870": "Microsoft 365 Business Basic",
    "3dd6cf57-d688-4eed-ba52-9e40b5468c3e": "Microsoft Defender for Office 365 (Plan 2)",
    "3f4babde-90ec-47c6-995d-d223749065d1": "Office 365 G1 GCC",
    "440eaaa8-b3e0-484b-a8be-62870b9ba70a": "Microsoft Teams Phone Resource Account",
    "44575883-256e-4a79-9da4-ebe9acabe2b2": "Microsoft 365 F1",
    "46c3a859-c90d-40b3-9551-6178a48d5c18": "Office 365 E3 (no Teams)",
    "4a51bf65-409c-4a91-b845-1121b571cc9d": "Power Automate per user plan",
    "4b244418-9658-4451-a2b8-b5e2b364e9bd": "Visio Plan 1",
    "4b585984-651b-448a-9e53-3b10f069cf7f": "Office 365 F3",
    "4b590615-0888-425a-a965-b3bf7789848d": "Microsoft 365 A3 for Faculty",
    "4b9405b0-7788-4568-add1-99614e613b69": "Exchange Online (Plan 1)",
    "4cde982a-ede4-4409-9ae6-b003453c8ea6": "Microsoft Teams Rooms Pro",
    "4ef96642-f096-40de-a3e9-d83fb2f90211": "Microsoft Defender for Office 365 (Plan 1)",
    "535a3a29-c5f0-42fe-8215-d3b9e1f38c4a": "Office 365 G3 GCC",
    "53818b1b-4a27-454b-8896-0dba576410e6": "Planner and Project Plan 3",
    "5a1c7b8d-0739-4ca8-bf69-ec87e69133ac": "Microsoft 365 Business Standard (no Teams)",
    "5b631642-bd26-49fe-bd20-1daaa972ef80": "Microsoft Power Apps for Developer",
    "5e1e7702-a2b7-4360-8d07-2f515792896f": "Microsoft Defender for Business",
    "606b54a9-78d8-4298-ad8b-df6ef4481c80": "Microsoft Copilot Studio Viral Trial",
    "6070a4c8-34c6-4937-8dfb-39bbc6397a60": "Microsoft Teams Rooms Standard",
    "639dec6b-bb19-468b-871c-c5c441c4b0cb": "Microsoft Copilot for Microsoft 365",
    "6470687e-a428-4b7a-bef2-8a291ad947c9": "Windows Store for Business",
    "66b55226-6b4f-492c-910c-a3b7a3c9d993": "Microsoft 365 F3",
    "67ffe999-d9ca-49e1-9d2c-03fb28aa7a48": "Microsoft 365 F5 Security Add-on",
    "6a0f6da5-0b87-4190-a6ae-9bb5a2b9546a": "Windows 10/11 Enterprise E3",
    "6fd2c87f-b296-42f0-b197-1e91e994b900": "Office 365 E3",
    "710779e8-3d4a-4c88-adb9-386c958d1fdf": "Microsoft Teams Exploratory",
    "7e31c0d9-9551-471d-836f-32ee72be4a01": "Microsoft Teams Enterprise",
    "80b2d799-d2ba-4d2a-8842-fb0d0f3a4b82": "Exchange Online Kiosk",
    "84a661c4-e949-4bd2-a560-ed7766fcaf2b": "Microsoft Entra ID P2",
    "8c4ce438-32a7-4ac5-91a6-e22ae08d9c8b": "Rights Management Adhoc",
    "94763226-9b3c-4e75-a931-5c89701abe66": "Office 365 A1 for faculty",
    "9a18296a-025f-4e37-9ffa-30bf8d1ce775": "Microsoft 365 E7",
    "a3f586b6-8cce-4d9b-99d6-55238397f77a": "Microsoft 365 Business Premium EEA (no Teams)",
    "a403ebcc-fae0-4ca2-8c8c-7a907fd6c235": "Microsoft Fabric (Free)",
    "a809996b-059e-42e2-9866-db24b99a9782": "Microsoft Copilot for Microsoft 365",
    "a929cd4d-8672-47c9-8664-159c1f322ba8": "Microsoft Intune Suite",
    "a9732ec9-17d9-494c-a51c-d6b45b384dcb": "SharePoint Online (Plan 2)",
    "ac5cef5d-921b-4f97-9ef3-c99076e5470f": "Microsoft 365 Business Standard - Prepaid Legacy",
    "ae2343d1-0999-43f6-ae18-d816516f6e78": "Teams Phone with Calling Plan",
    "b05e124f-c7cc-45a0-a6aa-8cf78c946968": "Enterprise Mobility + Security E5",
    "b30411f5-fea1-4a59-9ad9-3db7c7ead579": "Power Apps Premium",
    "beb6439c-caad-48d3-bf46-0c82871e12be": "Planner Plan 1",
    "c1d032e0-5619-4761-9b5c-75b6831e1711": "Power BI Premium Per User",
    "c2273bd0-dff7-4215-9ef5-2c7bcfb06425": "Microsoft 365 Apps for Enterprise",
    "c42b9cae-ea4f-4ab7-9717-81576235ccac": "Microsoft 365 E5 Developer (without Windows and Audio Conferencing)",
    "c5928f49-12ba-48f7-ada3-0d743a3601d5": "Visio Plan 2",
    "c7df2760-2c81-4ef7-b578-5b5392b571df": "Office 365 E5",
    "cb10e6cd-9da4-4992-867b-67546b1db821": "Windows 10/11 Enterprise E3",
    "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46": "Microsoft 365 Business Premium",
    "cdd28e44-67e3-425e-be4c-737fab2899d3": "Microsoft 365 Apps for Business",
    "cf6b0d46-4093-4546-a0ab-0b1546dcc10e": "Microsoft Entra ID Governance",
    "dcf0408c-aaec-446c-afd4-43e3683943ea": "Microsoft 365 E3 (no Teams)",
    "e43b5b99-8dfb-405f-9987-dc307f34bcbd": "Microsoft Teams Phone Standard",
    "e6778190-713e-4e4f-9119-8b8238de25df": "OneDrive for Business (Plan 1)",
    "e823ca47-49c4-46b3-b38d-ca11d5abe3d2": "Microsoft 365 G3 GCC",
    "e97c048c-37a4-45fb-ab50-922fbf07a370": "Microsoft 365 A5 for faculty",
    "eda1941c-3c4f-4995-b5eb-e85a42175ab9": "Power Automate Premium",
    "ee02fd1b-340e-4a4b-b355-4a514e4c8943": "Exchange Online Archiving for Exchange Online",
    "efccb6f7-5641-4e0e-bd10-b4976e1bf68e": "Enterprise Mobility + Security E3",
    "f245ecc8-75af-4f8e-b61f-27d8114de5f3": "Microsoft 365 Business Standard",
    "f30db892-07e9-47e9-837c-80727f46fd3d": "Microsoft Power Automate Free",
    "f8a1db68-be16-40ed-86d5-cb42ce701560": "Power BI Pro",
    "f991cecc-3f91-4cd0-a9a8-bf1c8167e029": "Dynamics 365 Business Central Premium",
    "fde42873-30b6-436b-b361-21af5a6b84ae": "Microsoft Teams Essentials",
    "ffa3a2a0-3820-462a-aa81-8a4d741f0cba": "Microsoft 365 Business Standard EEA (no Teams)",
}


def product_name(sku_id: str, part_number: str | None = None) -> str:
    """The product's name; its part number where we know no name, else the id itself."""
    return NAMES.get(sku_id.lower()) or (part_number or "").strip() or sku_id


def product_names(sku_ids: Iterable[str], part_numbers: Mapping[str, str] | None = None) -> list[str]:
    """Names of several products, sorted, each once."""
    part_number_of = part_numbers or {}
    return sorted({product_name(sku_id, part_number_of.get(sku_id)) for sku_id in sku_ids})
