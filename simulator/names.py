"""Invented names the worlds are made of. Every domain ends in ``.example``, bar Microsoft's own initial ones."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_NAMES = (
    "Mila Jonas Amélie Tariq Ingrid Mateo Priya Oskar Leila Hugo Freya Rafael Noor Casper Elena Yusuf "
    "Greta Luca Aisha Bram Chloé Dmitri Esther Finn Hana Ivo Jasmin Karim Lotte Marek Nadia Otto "
    "Paula Quentin Rosa Sven Tessa Umar Vera Wout Ximena Yara Zoltán Anouk Björn Carmen Daan Elif "
    "Felix Gül Henrik Iris Jamal Kaja Liam Maren Niklas Olga Pieter Renata Samir Thea Ulrich Viola "
    "Willem Zoë Adrian Beatriz Conor Dalia Emil Fatima Gijs Helena Ismael Joanna Kwame Linnea Milan "
    "Nora Oleg Petra Ruben Sanne Tomasz Ursula Viktor Wanda Yasmin Ada Bruno Cleo"
)
FIRST_NAMES = tuple(_FIRST_NAMES.split())

_LAST_NAMES = (
    "Brandt Visser Okafor Lindqvist Moreau Haddad Novak García Kowalski Jansen Ferreira Nguyen "
    "Schmidt Yılmaz Rossi Petrov Andersen Dubois Khan Müller Horvat Olsen Peeters Silva Weber Ivanova "
    "Martens Costa Larsen Fischer Mensah Bakker Romano Nielsen Hofmann Kaya Santos Virtanen Meyer "
    "Popescu Willems Bianchi Eriksson Koç Leclerc Vos Castillo Richter Sørensen Almeida Kruger "
    "Dijkstra Marino Berg Hansen Lefèvre Schulz Aydın Smit Ortega Wolf Karlsson Mazur Fontaine "
    "Pereira Krause Holm Mulder Conti Baran Jensen Girard Navarro Zimmermann Demir Bos Johansson "
    "Ricci Nowak Lambert Vargas Hartmann Dahl Postma Greco Wiśniewski Fournier Ruiz König Lund "
    "Hoekstra Gallo Zieliński Chevalier Molina Keller Moen Veenstra Fabbri Wójcik Marchand Serrano "
    "Vogel Strand Kuipers"
)
LAST_NAMES = tuple(_LAST_NAMES.split())

STREETS = (
    "Kade",
    "Molenweg",
    "Harbour Road",
    "Station Street",
    "Mill Lane",
    "Werfstraat",
    "Church Hill",
    "Oak Avenue",
)


@dataclass(frozen=True, slots=True)
class Office:
    """One place of work: ``name`` is what officeLocation says."""

    name: str
    city: str
    state: str | None
    postal_code: str
    country: str
    usage_location: str
    phone_prefix: str


@dataclass(frozen=True, slots=True)
class Company:
    """One simulated customer: its domains (``handle`` names Microsoft's initial one), trade and places."""

    name: str
    handle: str
    domains: tuple[str, ...]
    unverified: str
    departments: tuple[str, ...]
    titles: tuple[str, ...]
    offices: tuple[Office, ...]


_UTRECHT = Office("Hal 2", "Utrecht", None, "3511 AB", "Netherlands", "NL", "+31 30 555 0")
_ROTTERDAM = Office("Showroom Rotterdam", "Rotterdam", "Zuid-Holland", "3011 GG", "NL", "NL", "+31 10 555 0")
_ANTWERP = Office("Antwerp Depot", "Antwerpen", None, "2000", "Belgium", "BE", "+32 3 555 0")
_DULUTH = Office("Main Street Clinic", "Duluth", "MN", "55802", "United States", "US", "+1 218 555 0")
_SUPERIOR = Office("Superior Clinic", "Superior", "WI", "54880", "United States", "US", "+1 715 555 0")
_BRISTOL = Office("Head Office", "Bristol", "Avon", "BS1 4ND", "United Kingdom", "GB", "+44 117 555 0")
_LEEDS = Office("Leeds Yard", "Leeds", "West Yorkshire", "LS1 4AP", "United Kingdom", "GB", "+44 113 555 0")

_TITLES = (
    "Coordinator",
    "Specialist",
    "Team Lead",
    "Assistant",
    "Manager",
    "Apprentice",
    "Engineer",
    "Planner",
)
_GENERAL = (
    "Sales",
    "Operations",
    "Finance",
    "Human Resources",
    "IT",
    "Customer Care",
    "Marketing",
    "Management",
)


def _general(name: str, handle: str, domain: str) -> Company:
    return Company(name, handle, (domain,), f"shop.{domain}", _GENERAL, _TITLES, (_BRISTOL, _LEEDS))


SYNCED_COMPANIES = (
    Company(
        "Fabrikam Joinery",
        "fabrikamjoinery",
        ("fabrikam-joinery.example", "fabrikam-interiors.example"),
        "fabrikam-joinery-shop.example",
        (
            "Workshop",
            "Design",
            "Sales",
            "Procurement",
            "Logistics",
            "Finance",
            "Human Resources",
            "IT",
            "Installation",
        ),
        (
            "Joiner",
            "Planner",
            "Estimator",
            "Designer",
            "Foreman",
            "Buyer",
            "Driver",
            "Controller",
            "Apprentice",
        ),
        (_UTRECHT, _ROTTERDAM, _ANTWERP),
    ),
    Company(
        "Lakeshore Dental Group",
        "lakeshoredental",
        ("lakeshore-dental.example", "lakeshore-ortho.example"),
        "lakeshore-smiles.example",
        ("Reception", "Dentistry", "Hygiene", "Orthodontics", "Laboratory", "Billing", "Management"),
        ("Dentist", "Hygienist", "Receptionist", "Technician", "Biller", "Office Manager", "Assistant"),
        (_DULUTH, _SUPERIOR),
    ),
    _general("Marlow Freight", "marlowfreight", "marlow-freight.example"),
    _general("Tern & Tide Seafood", "terntide", "tern-and-tide.example"),
    _general("Quarry Hill Schools", "quarryhill", "quarry-hill.example"),
    _general("Vantage Surveyors", "vantagesurveyors", "vantage-surveyors.example"),
    _general("Copperfield Brewing", "copperfieldbrewing", "copperfield-brewing.example"),
    _general("Juniper Care Homes", "junipercare", "juniper-care.example"),
)

PARTNER_COMPANY = _general("Harbor Bridge IT", "harborbridgeit", "harborbridge-it.example")

UNCONSENTED_COMPANIES = (
    _general("Kestrel Couriers", "kestrelcouriers", "kestrel-couriers.example"),
    _general("Alder & Finch Solicitors", "alderfinch", "alder-finch.example"),
    _general("Brightwater Nursery", "brightwater", "brightwater-nursery.example"),
    _general("Oakline Logistics", "oakline", "oakline-logistics.example"),
    _general("Tallis Print Works", "tallisprint", "tallis-print.example"),
)


def synced_company(number: int) -> Company:
    """The company of the ``number``-th synced tenant (0 first); past the table the names carry a number."""
    if number < len(SYNCED_COMPANIES):
        return SYNCED_COMPANIES[number]
    return _general(
        f"Branch {number + 1} Trading", f"branch{number + 1}trading", f"branch-{number + 1}.example"
    )
